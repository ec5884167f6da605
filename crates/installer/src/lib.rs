//! The program `sampan-node-installer`: installs the shim on a node and configures containerd for
//! it, or reverts both.
//!
//! Planning is pure ([`config`], [`dump`]): it maps a configuration's text to another text. Side
//! effects are in [`files`], [`host`] and [`node`]. A configuration that containerd rejects is
//! reverted, and the other settings never change.

mod arguments;
mod config;
mod dump;
mod error;
mod files;
mod host;
mod install;
mod node;
mod remove;
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
