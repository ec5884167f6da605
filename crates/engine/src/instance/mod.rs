//! Instances of modules: their stores, the host's side of their imports, and the calls of HTTP handlers.
//!
//! - [`handler`]: takes an idle instance for a request, or makes one
//! - [`idle`]: prewarmed instances, and used ones
//! - [`room`]: room for an instance in a pool that is full
//! - [`serve`]: passes the request to the instance
//! - [`host`]: the data of an instance's store
//! - [`limiter`]: the memory and tables of an instance
//! - [`output`]: the standard streams of a guest
//! - [`http_hooks`]: the outbound requests of a guest

pub(crate) mod handler;
pub(crate) mod host;
pub(crate) mod http_hooks;
pub(crate) mod idle;
mod limiter;
mod output;
pub(crate) mod room;
mod serve;
