//! The function `user-manager` as a component.

mod handler;
mod person;

function::component!(async handler::handle);
