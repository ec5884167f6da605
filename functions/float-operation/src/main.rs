//! The function `float-operation` as a native program.

mod handler;

function::program!(handler::handle);
