//! A function in the container's first process: a server of requests, or a WASI command.

mod admin;
mod command;
pub(super) mod executor;
mod observer;
mod output;
mod serve;
mod signals;
