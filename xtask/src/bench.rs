//! `cargo xtask bench`: builds what is measured, then becomes `sampan-bench`.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::arguments::{Bench, Functions, Toolchain};
use crate::cargo;
use crate::functions;
use crate::machine::{Machine, Need};
use crate::repository::Repository;
use crate::stages::FUNCTIONS_FOLDER;
use crate::toolchain::Choice;

pub(crate) fn run(repository: &Repository, machine: &Machine, bench: &Bench) -> Result<ExitCode> {
    let repository = &repository.shipped();
    // What only some benchmarks need is no reason to stop: one that lacks it says so.
    for missing in machine.provide(&[
        Need::Linker,
        Need::Seccomp,
        Need::Protoc,
        Need::Postgres,
        Need::Pip,
        Need::Wrk,
    ]) {
        eprintln!(
            "missing: {}; to install it: {}",
            missing.what, missing.remedy
        );
    }
    let all = Functions {
        names: Vec::new(),
        toolchain: Toolchain {
            choice: Choice::Any,
        },
    };
    functions::run(repository, machine, &all)?;
    cargo::build_programs(repository)?;
    let mut command = Command::new(repository.program("sampan-bench"));
    command.arg(&bench.name).args(&bench.arguments);
    let error = command.env(FUNCTIONS_FOLDER, repository.staged()).exec();
    Err(error).with_context(|| format!("failed to start {}", cargo::shown(&command)))
}
