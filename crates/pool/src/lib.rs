//! The program `sampan-pool`: serves all pooled functions of a namespace from one process, each on
//! a port of its own.
//!
//! Events about functions, `ConfigMap`s and Secrets go to [one task](pool), which decides what listens
//! and what is loaded. Decisions are pure functions of what was seen; pulls, compilations and
//! requests run beside that task. Only [`watches`] has a client of the API server, and it only reads:
//! what is served goes on without it.
//!
//! # Files
//!
//! In the order of an event:
//!
//! - `watches.rs`, `lookups.rs` and `lists.rs`: from the API server to events of `event.rs`. `wanted_objects.rs` says
//!   which objects they keep.
//! - `resource.rs`: the part of a resource that concerns a pool.
//! - `pool.rs`: the task with the state of all functions; `function.rs` is the state of one. `objects.rs` is what is
//!   known of `ConfigMap`s and Secrets.
//! - `version.rs`: the version that a resource asks for. `environment.rs`, `expansion.rs` and `fields.rs` make its
//!   environment.
//! - `load.rs`: from a version to a function that accepts requests, with `blocking.rs`; `artifacts.rs`
//!   pulls images, `image_store.rs` has them on disk, and `leases.rs` says which of them stay there.
//! - `peers.rs` has compiled modules from other pods, and gives them its own.
//! - `report.rs`, `metrics.rs`, `readiness.rs` and `snapshot.rs`: what others see of it.
//! - `error.rs`: why a version is not served, and when it is tried again, with `backoff.rs`.
//! - `serve.rs` joins all of this, `options.rs` is the command line with `memory.rs`, and `start.rs` is the program.
//!
//! # Behaviours
//!
//! Files are relative to `src`, tests to the crate.
//!
//! - The functions that a pool serves, before, during and after a move: `resource.rs`, with its tests, and
//!   `tests/serving.rs`.
//! - Environments, with the kubelet's rules: `environment.rs`, `expansion.rs` and `fields.rs`, with their tests.
//! - Pull policies and pull secrets: `version.rs`, with its tests, and `artifacts.rs`; tests in `tests/pulling.rs`.
//! - A change of a resource, a `ConfigMap` or a Secret between two requests: `pool.rs`; tests in `tests/serving.rs`.
//! - Changes while others load, listen or fail: `pool/versions.rs` and `pool/ports.rs`; tests in `tests/changing.rs`.
//! - A version that does not load leaves the one before: `function.rs`; tests in `tests/serving.rs`.
//! - A pool without the API server, a complete list and a part of one, and answers that overtake each other: `pool.rs`,
//!   `lists.rs` and `objects.rs`, with the tests of the last two, and `tests/serving.rs`.
//! - A restart of the container: `snapshot.rs`, with its tests, and `tests/restarting.rs`.
//! - The report, its revisions and the wait for one: `report.rs`, with its tests.
//! - Readiness: `readiness.rs`, with its tests; tests in `tests/pulling.rs` and `tests/restarting.rs`.
//! - Causes and repeated attempts: `error.rs`, with its tests.
//! - Dashboards of the chart, and the list of metrics in `docs/operations.md`: `metrics.rs`; tests in
//!   `tests/dashboards.rs`.
//! - Modules that the pods of a pool compile once: `peers.rs` and its folder, with tests there; `tests/sharing.rs`.
//! - Processors and memory that functions share: the engine, and `memory.rs`, with its tests; tests in `tests/budgets.rs`.
//!
//! Deliberately absent: certificates for private registries, and files. A pooled function has neither
//! volumes nor an identity of its own.

mod artifacts;
mod backoff;
mod blocking;
mod environment;
mod error;
mod event;
mod expansion;
mod fields;
mod files;
mod function;
mod image_store;
mod leases;
mod lists;
mod load;
mod lookups;
mod memory;
mod metrics;
mod objects;
mod options;
mod peers;
mod pool;
mod readiness;
mod report;
mod resource;
mod serve;
mod snapshot;
mod start;
mod version;
mod wanted_objects;
mod watches;

pub use event::Event;
pub use fields::PodFields;
pub use objects::{ObjectData, ObjectKey, ObjectKind, SeenObject};
pub use peers::PeerSettings;
pub use report::{Query, Reports};
pub use resource::{Resource, Seen};
pub use serve::{Serving, Settings, StartError, serve};
pub use start::main;
pub use wanted_objects::WantedObjects;
