//! The function `hello` as a native program.

mod handler;

function::program!(handler::handle);
