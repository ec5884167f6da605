//! `cargo xtask`: sets a machine up, builds, serves, tests, measures and checks the project.
//!
//! It is the only entry point for these tasks, and calls the tools that do the work. It handles processes, files and
//! cargo's metadata. It links none of the project's crates, so it compiles in seconds and works when they do not
//! compile.
//!
//! # Behaviours
//!
//! Files are relative to `src`; whole-system tests are in `tests`.
//!
//! - `cargo xtask up`: `up.rs` and `backends.rs`; tests in `up_from_a_checkout`.
//! - The compiler of components: `toolchain.rs`, with its tests.
//! - Missing programs and packages of a machine: `machine.rs` and `packages.rs`, with their tests.
//! - The stages of `cargo xtask test`: `stages.rs`.
//! - Rules that no compiler checks: `tidy.rs` and the files of `tidy`, with their tests.
//! - `cargo xtask dist`: `dist.rs` and `oci.rs`, with their tests.
//! - Images without a container engine: `oci.rs`, with its tests. Those of the functions, with their Debian:
//!   `functions/images.rs` and `functions/base.rs`, with their tests.
//! - The cluster, its paths and names: `cluster/layout.rs` and `cluster/name.rs`, with their tests.
//! - The cluster, its start, repair and end: `cluster/up.rs`, `cluster/down.rs` and `cluster/processes.rs`; tests in
//!   `cluster_containers` and `cluster_lifecycle` of the cluster tests.
//! - The cluster, its programs: `cluster/tools.rs` and `cluster/tools/catalogue.rs`, with their tests.
//! - critest with runc and with Sampan: `cluster/critest.rs` and `stages/critest.rs`, with their tests.
//! - The cluster of benchmarks, and its images: `bench.rs`, `bench/cluster.rs` and `cluster/stock.rs`, with their
//!   tests.
//! - The emulated machine, with its image, boot and tests: `vm.rs` and `stages/vm.rs`, with their tests.

mod arguments;
mod backends;
mod bench;
mod cache;
mod cargo;
mod cluster;
mod dist;
mod functions;
mod guests;
mod machine;
mod markdown;
mod metadata;
mod oci;
mod packages;
mod programs;
mod repository;
mod shell;
mod stages;
mod target_folder;
mod tidy;
mod toolchain;
mod up;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use arguments::{Arguments, Command};
use machine::Machine;
use repository::Repository;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Command::Cluster(cluster) = &arguments.command
        && let Some(routes) = cluster.routes()
    {
        // A forwarder runs on its own, outside of any checkout.
        return cluster::forward(routes).map(|()| ExitCode::SUCCESS);
    }
    let repository = Repository::find()?;
    target_folder::claim(&repository)?;
    let machine = Machine::new(!arguments.no_install);
    match &arguments.command {
        Command::Up(up) => up::run(&repository, &machine, up),
        Command::Test(test) => stages::run(&repository, &machine, test),
        Command::Functions(functions) => {
            functions::run(&repository, &machine, functions).map(|()| ExitCode::SUCCESS)
        }
        Command::Cluster(cluster) => cluster::run(&repository, &machine, cluster),
        Command::Dist(arguments) => dist::run(&repository, arguments),
        Command::Tidy => tidy::run(&repository),
        Command::Vm(boot) => vm::run(&repository, &machine, boot).map(|()| ExitCode::SUCCESS),
        Command::Bench(bench) => bench::run(&repository, &machine, bench),
    }
}
