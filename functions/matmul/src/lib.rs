//! The function `matmul` as a component.

mod handler;
mod product;

function::component!(handler::handle);
