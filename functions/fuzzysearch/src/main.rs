//! The function `fuzzysearch` as a native program.

mod handler;

function::program!(async handler::handle);
