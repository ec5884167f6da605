//! The function `n-body` as a component.

mod handler;
mod system;

function::component!(handler::handle);
