//! What every binary of Sampan tells of itself: logs, traces, metrics, and the admin server that
//! shows them.
//!
//! It owns formats and transports only. What is measured belongs to the crate that measures it, and
//! nothing here knows functions, clusters or WebAssembly.

pub mod admin;
mod health;
mod logs;
mod metrics;
mod queue;
mod random;
mod trace;
mod tracestate;

pub use health::Health;
pub use logs::{Color, DEFAULT_FILTER, LogFormat, LogOptions, Logs, LogsError};
pub use metrics::Registry;
pub use random::random;
pub use trace::{TRACEPARENT, TRACESTATE, TraceContext};
pub use tracestate::limit as limit_tracestate;
