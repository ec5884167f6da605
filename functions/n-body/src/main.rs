//! The function `n-body` as a native program.

mod handler;
mod system;

function::program!(handler::handle);
