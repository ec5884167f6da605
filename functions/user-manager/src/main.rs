//! The function `user-manager` as a native program.

mod handler;
mod person;

function::program!(async handler::handle);
