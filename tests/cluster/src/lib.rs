//! Shared parts of the tests on a cluster: finding it, a namespace for each test, waiting for a condition, running a
//! command in a pod.
//!
//! The cluster is a real one, made by `cargo xtask cluster up` or `cargo xtask test cluster`. Nothing here links a
//! crate of the product, so a test sees only what a user sees. A failure here panics with the object that failed. A
//! test's namespace is deleted afterwards; when the test fails, its pods, events and logs are printed first.
//!
//! # Behaviours
//!
//! - Leftovers of pods on a node: `src/leftovers.rs`; tests in `tests/cluster_leftovers.rs`.
//! - All objects of a namespace: `src/contents.rs`.
//! - The chart and its installer: tests in `tests/cluster_chart.rs`.
//! - An ingress controller: tests in `tests/cluster_ingress.rs`.
//! - Functions in a pool: `src/pooled.rs`; tests in `tests/cluster_pooled`, and with faults in `tests/cluster_faults`.
//! - Requests at a fixed rate while something happens to their targets: `src/open_load.rs` and `src/load_report.rs`;
//!   tests in `tests/cluster_faults/pooled_load.rs`.
//! - The settings and the scaling of pools: tests in `tests/cluster_pools.rs`.
//! - Pods of a kubelet with systemd's driver: tests in `tests/systemd_pods.rs`.
#![expect(
    clippy::missing_panics_doc,
    reason = "every item here panics to fail the test that uses it"
)]

mod authority;
mod call;
mod cluster;
mod containers;
mod contents;
mod functions;
mod image_config;
mod images;
mod kubectl;
mod leftovers;
mod load;
mod load_report;
mod namespace;
mod nginx;
mod open_load;
pub mod pooled;
mod private_registry;
mod shell;
mod wait;
mod xtask_command;

/// A boxed future. The crate that polls an `async fn` compiles its body. Behind this type the body
/// is compiled once, in this crate, and not again in every test program.
pub type Pending<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub use authority::{Authority, Identity};
pub use cluster::{Cluster, Node};
pub use containers::{processes_of, signal, status_of};
pub use image_config::with_stop_signal;
pub use images::{guest, hello, push, push_bytes, push_image, push_text, staged};
pub use kubectl::Kubectl;
pub use leftovers::{LeftoverSearch, Leftovers};
pub use load::Load;
pub use load_report::{Exchange, Failure, Kill, LoadReport};
pub use namespace::{Namespace, TEST_TIMEOUT};
pub use nginx::Nginx;
pub use open_load::{OpenLoad, Target};
pub use private_registry::PrivateRegistry;
pub use shell::{BUSYBOX, Shell};
pub use wait::until;
pub use xtask_command::{OwnCluster, cluster_command, xtask};
