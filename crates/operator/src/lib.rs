//! The program `sampan-operator`: turns each `WasmFunction` into a Deployment, a Service and an Ingress.
//!
//! A [reconcile](reconcile) of one function reads caches, validates, builds, applies, and writes the status. Only the
//! last two reach the API server. The operator runs no function and has no WebAssembly engine.
//!
//! # Behaviours
//!
//! Files are relative to `src`, tests to the crate. `scenarios` run on an API server and etcd.
//!
//! - Deployment, Service, Ingress and defaults of pods: `build.rs` and the files of `build`; tests in
//!   `tests/building.rs`.
//! - Functions through an ingress controller: `build/ingress.rs`; tests in `cluster_ingress` of the package
//!   `sampan-cluster-tests`.
//! - The decision to write, and the owner of an object: `apply/decision.rs` and `difference.rs`, with their tests,
//!   and `tests/scenarios/repairs.rs`.
//! - The cause of a function that does not answer: `diagnose.rs` and `status.rs`, with their tests.
//! - Crashes, interrupted watches, old lists and storms: `reconcile.rs` and `caches.rs`; tests in
//!   `tests/scenarios/crashes.rs` and `tests/scenarios/watches.rs`.
//! - The place of a function, its port in a pool, and moves between places: `placement.rs`,
//!   `place.rs` and `pool_ports.rs`, with their tests; `cluster_pooled` of the package
//!   `sampan-cluster-tests`.
//! - Moves of functions with the placement `Auto`: `auto.rs` decides, `auto_functions.rs` has what is known, `auto_polls.rs`,
//!   `pool_load.rs`, `pool_usage.rs`, `pod_load.rs` and `pod_metrics.rs` measure, with their tests;
//!   `tests/scenarios/auto.rs`, and `cluster_auto` of the package `sampan-cluster-tests`.
//! - Pools and what their pods report: `build/pool.rs`, `pool_loop.rs`, `pool_controller.rs`,
//!   `pool_poll.rs`, `pool_fetch.rs` and `pool_reports.rs`, with `build/pool_sharing.rs` and `pool_key.rs` for what its pods
//!   share; tests beside them, in `tests/pool.rs` and `tests/scenarios/pools.rs`.
//! - The settings of a namespace's pool, and their status: `build/pool_config.rs`, `watched_pool.rs`,
//!   `pool_status.rs` and `pool_status_writer.rs`; tests beside them, in `tests/pool.rs` and
//!   `tests/scenarios/wasm_pools.rs`.
//! - Autoscalers, and the hand-over of a number of pods to them: `build/autoscaler.rs`, `scaling.rs` and
//!   `apply/handover.rs`; tests in `tests/scenarios/scaling.rs` and `cluster_pools` of the package
//!   `sampan-cluster-tests`.
//! - Watches that the operator can do without: `optional_caches.rs`; tests in `tests/scenarios/wasm_pools.rs`.
//! - The active one of several operators: `lease.rs` and `election.rs`, with their tests, and
//!   `tests/scenarios/crashes.rs`.
//! - Rights of the operator: `deploy/rbac/operator.yaml`; tests in `tests/rights.rs` and `tests/scenarios/rights.rs`.

mod apply;
mod auto;
mod auto_functions;
mod auto_polls;
mod backend;
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
mod optional_caches;
mod options;
mod place;
mod placement;
mod pod_load;
mod pod_metrics;
mod pod_state;
mod pool_changes;
mod pool_controller;
mod pool_fetch;
mod pool_key;
mod pool_load;
mod pool_loop;
mod pool_poll;
mod pool_pollers;
mod pool_ports;
mod pool_reports;
mod pool_status;
mod pool_status_writer;
mod pool_usage;
mod pool_view;
mod pools;
mod reconcile;
mod refusal;
mod scaling;
mod start;
mod status;
mod status_writer;
mod touched;
mod unwatched;
mod watched;
mod watched_pool;

pub use backend::Backend;
pub use build::{
    Desired, Identity, PodCount, PoolConfig, PoolObjects, PoolSettings, Settings, build, pool,
    service,
};
pub use election::Lost;
pub use lease::Terms;
pub use metrics::Metrics;
pub use operate::operate;
pub use options::{LeasePlan, Plan};
pub use start::main;
