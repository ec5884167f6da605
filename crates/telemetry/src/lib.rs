//! Logs, trace context, the metrics registry, and the admin server of every Sampan program.
//!
//! This crate owns formats and transports only. The crate that measures something owns the measurement. Nothing here
//! depends on functions, clusters or WebAssembly.
//!
//! # Behaviours
//!
//! Files are relative to `src`, tests to the crate.
//!
//! - Log lines, from the event to standard error: `logs.rs` and `line_queue.rs`; tests in `tests/logs.rs`.
//! - `/metrics`, `/healthz` and `/readyz`: `admin.rs`; tests in `tests/admin.rs`.
//! - A program's own document, and the wait for its changes: `document.rs` and `admin.rs`; tests in `tests/document.rs`.

pub mod admin;
mod document;
mod health;
mod line_queue;
mod logs;
mod metrics;
mod random;
mod trace;
mod tracestate;

pub use document::Document;
pub use health::Health;
pub use line_queue::{LineQueue, LineQueueOptions};
pub use logs::{Color, DEFAULT_FILTER, LogFormat, LogOptions, Logs, LogsError};
pub use metrics::Registry;
pub use random::random;
pub use trace::{TRACEPARENT, TRACESTATE, TraceContext};
pub use tracestate::limit as limit_tracestate;
