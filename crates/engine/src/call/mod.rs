//! Calls of loaded functions, from a request to the last byte of the answer.
//!
//! - [`function`]: a loaded function, with the entry points of its calls
//! - [`guest`]: runs a guest within its time limits
//! - [`cgi`]: serves a request with a command
//! - [`command`]: runs a command
//! - [`length`]: the declared length of an answer
//! - [`body`]: the body of an answer, which runs the guest on
//! - [`rest`]: runs the guest on after its answer

pub(crate) mod body;
mod cgi;
pub(crate) mod command;
pub(crate) mod function;
mod guest;
mod length;
mod rest;
