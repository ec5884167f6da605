//! The function `linear-equations` as a native program.

mod handler;
mod system;

function::program!(handler::handle);
