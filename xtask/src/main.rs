//! `cargo xtask`: sets the machine up, and builds, serves, tests, measures and checks the project,
//! by calling the tools that do so.
//!
//! It handles processes, files and cargo's metadata of the workspace. It links none of the
//! project's crates, so that it compiles in seconds and works when they do not.

mod arguments;
mod backends;
mod bench;
mod cache;
mod cargo;
mod cluster;
mod dist;
mod functions;
mod guests;
mod hex;
mod machine;
mod markdown;
mod metadata;
mod oci;
mod packages;
mod repository;
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
    if let Some(routes) = cluster::routes(&arguments.command) {
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
        Command::Vm(arguments) => {
            vm::run(&repository, &machine, arguments).map(|()| ExitCode::SUCCESS)
        }
        Command::Bench(bench) => bench::run(&repository, &machine, bench),
    }
}
