//! Records each request and each function, and reports them in logs and metrics.
//!
//! It decides nothing about a request. [`crate::dispatch`] calls it for requests, and the engine calls it for the
//! events of a function.
//!
//! In the order of a request:
//!
//! - `request_context.rs`: the request's identifier, of `request_id.rs`, and its trace, of `trace.rs`.
//! - `observer.rs`: the engine's events during the call.
//! - `metrics.rs`, `histogram.rs`, `status_codes.rs` and `last_request.rs`: the counts of each function, for Prometheus,
//!   which `scrape.rs` writes.
//! - `access_log.rs`: the entry of the completed request.

pub(crate) mod access_log;
mod histogram;
mod last_request;
pub(crate) mod metrics;
pub(crate) mod observer;
pub(crate) mod request_context;
pub(crate) mod request_id;
mod scrape;
mod status_codes;
mod trace;
