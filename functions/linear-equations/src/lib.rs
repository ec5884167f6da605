//! The function `linear-equations` as a component.

mod handler;
mod system;

function::component!(handler::handle);
