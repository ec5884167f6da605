//! The function `whatlang` as a component.

mod handler;

function::component!(handler::handle);
