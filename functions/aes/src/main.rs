//! The function `aes` as a native program.

mod blocks;
mod cfb;
mod handler;

function::program!(handler::handle);
