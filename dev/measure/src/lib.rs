//! The instruments of the benchmarks: a cluster, its pods and their processes, and HTTP.
//!
//! `sampan-bench` and the experiments share them. An instrument measures from outside, as a user
//! does: this crate links none of the crates that it measures.

pub mod cluster;
pub mod containerd_log;
pub mod files;
pub mod functions;
pub mod http_client;
pub mod namespace;
pub mod netns_thread;
pub mod pool;
pub mod process;
pub mod processes;
pub mod processor;
pub mod statistics;
