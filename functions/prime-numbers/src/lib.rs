//! The function `prime-numbers` as a component.

mod handler;

function::component!(handler::handle);
