//! The program `sampan-node-installer`: installs the shim on a node and configures containerd, or removes both.
//!
//! Planning is pure ([`config`], [`dump`]): it maps a configuration's text to another text. Effects are in [`files`],
//! [`host`] and [`node`]. The installer asks containerd first what it would make of a plan. It takes back what
//! containerd does not accept, and changes no setting but its own.
//!
//! # Behaviours
//!
//! Files are relative to `src`, tests to the crate.
//!
//! - containerd's configuration on a node: `config.rs`, `runtimes.rs`, `dump.rs` and `install.rs`, with
//!   their tests.
//! - The chart and its installer on a cluster: `install.rs`; tests in `cluster_chart` of the package
//!   `sampan-cluster-tests`.
//! - A node where systemd runs containerd: tests in `tests/systemd.rs`, which run in the emulated machine of
//!   `cargo xtask test vm`.

mod arguments;
mod config;
mod dump;
mod error;
mod files;
mod host;
mod install;
mod node;
mod remove;
mod runtimes;
mod uninstall;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command};
use error::Error;

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        // Precedes any thread: only a single-threaded process can enter another's mounts.
        Command::Enter(enter) => match host::enter(&enter) {
            Ok(never) => match never {},
            Err(error) => Err(error),
        },
        Command::Install(options) => run(install::install(options)),
        Command::RemoveEverywhere(options) => run(remove::remove(options)),
        Command::IsDone { file } => {
            let there = file.exists();
            return if there {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
        Command::Uninstall(options) => run(uninstall::uninstall(options)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error::chain(&error));
            eprintln!("help:  {}", error.help());
            ExitCode::FAILURE
        }
    }
}

fn run(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| Error::Runtime { source })?
        .block_on(work)
}
