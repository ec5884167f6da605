//! The function `prime-numbers` as a native program.

mod handler;

function::program!(handler::handle);
