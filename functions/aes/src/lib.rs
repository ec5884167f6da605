//! The function `aes` as a component.

mod blocks;
mod cfb;
mod handler;

function::component!(handler::handle);
