//! Logs, traces, metrics and the admin server of every binary of Sampan.
//!
//! The crate defines formats and transports only. Each metric belongs to the crate that measures
//! it. The crate contains no code for functions, clusters or WebAssembly.

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
