//! The function `hello` as a component.

mod handler;

function::component!(handler::handle);
