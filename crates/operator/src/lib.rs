//! The operator: turns each `WasmFunction` into a Deployment, a Service and an Ingress.
//!
//! A [`reconcile`] of one function reads caches, validates, builds, applies and writes the
//! status. Only the last two send requests to the API server. WebAssembly is left to the nodes.

mod apply;
mod build;
mod caches;
mod controller;
mod counting_client;
mod diagnose;
mod difference;
mod election;
mod failure;
mod grouped;
mod history;
mod lease;
mod metrics;
mod operate;
mod options;
mod reconcile;
mod refusal;
mod start;
mod status;
mod status_writer;

pub use build::{Desired, Identity, Settings, build};
pub use election::Lost;
pub use lease::Terms;
pub use metrics::Metrics;
pub use operate::operate;
pub use options::{LeasePlan, Plan};
pub use start::main;
