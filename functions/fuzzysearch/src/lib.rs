//! The function `fuzzysearch` as a component.

mod handler;

function::component!(async handler::handle);
