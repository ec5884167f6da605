//! The operator: turns each `WasmFunction` into a Deployment, a Service and an Ingress.
//!
//! A [round](reconcile) for one function observes caches, validates, builds, applies and tells; only the
//! ends touch the API server. Refuses to know WebAssembly: nodes do.

mod apply;
mod build;
mod caches;
mod controller;
mod diagnose;
mod difference;
mod election;
mod failure;
mod grouped;
mod lease;
mod memory;
mod metered;
mod metrics;
mod operate;
mod options;
mod reconcile;
mod refusal;
mod start;
mod status;
mod tell;

pub use build::{Desired, Identity, Settings, build};
pub use election::Lost;
pub use lease::Terms;
pub use metrics::Metrics;
pub use operate::operate;
pub use options::{LeasePlan, Plan};
pub use start::main;
