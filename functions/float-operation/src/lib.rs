//! The function `float-operation` as a component.

mod handler;

function::component!(handler::handle);
