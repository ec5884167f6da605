//! The function `matmul` as a native program.

mod handler;
mod product;

function::program!(handler::handle);
