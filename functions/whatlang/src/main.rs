//! The function `whatlang` as a native program.

mod handler;

function::program!(handler::handle);
