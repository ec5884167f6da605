//! Records each request and each function, and reports them in logs and metrics.
//!
//! It decides nothing about a request. [`crate::dispatch`] calls it for requests, and the engine calls it for the
//! events of a function.
//!
//! In the order of a request:
//!
//! - `request_id.rs`: the identifier of the request.
//! - `trace.rs`: the trace that the request belongs to.
//! - `observer.rs`: the engine's events during the call.
//! - `metrics.rs` and `histogram.rs`: the counts of each function, for Prometheus.

mod histogram;
pub(crate) mod metrics;
pub(crate) mod observer;
pub(crate) mod request_id;
pub(crate) mod trace;
