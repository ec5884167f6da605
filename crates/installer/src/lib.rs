//! The program `sampan-node-installer`: puts the shim on a node and tells containerd of it, or takes both away.
//!
//! Planning is pure ([`config`], [`dump`]): from a configuration's text to another text. Effects are at the ends:
//! [`files`], [`host`], [`node`]. Refuses to leave a node half changed: what containerd does not take is taken
//! back, and nothing of the configuration that is not ours is ever different afterwards.

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
        // Before anything starts a thread: only a process of one thread can enter another's mounts.
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
