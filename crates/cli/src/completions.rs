//! `sampan completions`: prints a shell's completion script.

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::arguments::{Arguments, Completions};
use crate::failure::Failure;
use crate::output::finish;

/// Prints the completion script of a shell.
pub(crate) fn completions(arguments: &Completions) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Arguments::command(),
        "sampan",
        &mut script,
    );
    finish(&String::from_utf8_lossy(&script))
}
