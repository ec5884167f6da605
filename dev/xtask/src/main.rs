//! `cargo xtask`: sets a machine up, builds, serves, tests, measures and checks the project.
//!
//! It is the only entry point for these tasks. Each large command is in a crate of its own below `dev/`, or calls
//! programs that cargo has built; here are the command line, and the commands that join several of those crates. xtask
//! links none of the product's crates, so it compiles in seconds and works when they do not compile.
//!
//! # Behaviours
//!
//! Files are relative to `src`; whole-system tests are in `tests`.
//!
//! - `cargo xtask up`: `up.rs` and `backends.rs`; tests in `up_from_a_checkout`.
//! - `cargo xtask test`, in stages: `stages.rs` and the files of `stages`, with their tests.
//! - `cargo xtask bench`, with the cluster of a benchmark: `bench.rs` and `bench/cluster.rs`, with their tests.
//! - One target folder for several checkouts: `target_folder.rs`, with its tests.
//! - `cargo xtask functions` and `cargo xtask dist`: `sampan-build`.
//! - `cargo xtask cluster`, and critest: `sampan-cluster`.
//! - `cargo xtask vm`: `sampan-vm`.
//! - `cargo xtask tidy`: `sampan-tidy`.

mod arguments;
mod backends;
mod bench;
mod stages;
mod target_folder;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use sampan_build::{dist, functions};
use sampan_checkout::machine::Machine;
use sampan_checkout::repository::Repository;

use arguments::{Arguments, Command};

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
        && let Some(forwarded) = sampan_cluster::forward(cluster)
    {
        return forwarded.map(|()| ExitCode::SUCCESS);
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
        Command::Cluster(cluster) => sampan_cluster::run(&repository, &machine, cluster),
        Command::Dist(arguments) => dist::run(&repository, arguments),
        Command::Tidy => sampan_tidy::run(&repository),
        Command::Vm(boot) => {
            sampan_vm::run(&repository, &machine, boot).map(|()| ExitCode::SUCCESS)
        }
        Command::Bench(bench) => bench::run(&repository, &machine, bench),
    }
}
