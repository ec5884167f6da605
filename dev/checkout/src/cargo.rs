//! Builds cargo commands that select the same packages and features everywhere.
//!
//! Cargo unifies features over the selected packages. The main workspace is selected whole, or as
//! `Selection::Up` of [`crate::build`], which turns on the same features. Any other selection would compile the engine
//! again.

use std::env;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::repository::Repository;

/// Cargo in the main workspace.
pub fn main_workspace(repository: &Repository, subcommand: &str) -> Command {
    let mut command = cargo();
    command
        .current_dir(repository.root())
        .env("CARGO_TARGET_DIR", repository.target())
        .arg(subcommand);
    lock(&mut command);
    command
}

/// Cargo in the functions' workspace. It runs in the folder of that workspace, where cargo looks
/// for its configuration.
pub fn functions_workspace(repository: &Repository, subcommand: &str) -> Command {
    let mut command = cargo();
    command
        .current_dir(repository.functions())
        .env("CARGO_TARGET_DIR", repository.functions_target())
        .arg(subcommand);
    lock(&mut command);
    command
}

/// Cargo in the workspace of the tests' guests.
pub fn guests_workspace(repository: &Repository, subcommand: &str) -> Command {
    let mut command = cargo();
    command
        .current_dir(repository.guests())
        .env("CARGO_TARGET_DIR", repository.guests_target())
        .arg(subcommand);
    lock(&mut command);
    command
}

/// The cargo that runs this program, or else the one in `PATH`.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    remove_package_variables(&mut command);
    command
}

/// Removes the variables that cargo sets for this program's own package. A build script that reads
/// them, such as ring's, would run again after every call from another environment. Everything that
/// depends on its package would then be compiled again.
pub fn remove_package_variables(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_package_variable) {
            command.env_remove(name);
        }
    }
}

fn is_package_variable(variable: &str) -> bool {
    const NAMES: [&str; 4] = [
        "CARGO_BIN_NAME",
        "CARGO_CRATE_NAME",
        "CARGO_PRIMARY_PACKAGE",
        "OUT_DIR",
    ];
    let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_EXE_"];
    prefixes.iter().any(|prefix| variable.starts_with(prefix)) || NAMES.contains(&variable)
}

/// On CI, makes cargo fail when a lock file is not up to date.
pub fn lock(command: &mut Command) {
    if is_ci() {
        command.arg("--locked");
    }
}

/// Whether this is an unattended run.
pub fn is_ci() -> bool {
    env::var_os("CI").is_some_and(|value| value == "true")
}

/// Runs a command, which writes to this program's output.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("failed to start {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs a command without showing its output. Returns its stdout; an error carries its stderr.
pub fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to start {}", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed: {}", shown(command), said.trim());
    }
    Ok(output.stdout)
}

/// A command as typed in a shell.
pub fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let name = program.rsplit('/').next().unwrap_or(&program).to_owned();
    let arguments = command
        .get_args()
        .map(|argument| argument.to_string_lossy().into_owned());
    let words: Vec<_> = std::iter::once(name).chain(arguments).collect();
    format!("`{}`", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_variables_of_a_package_are_removed() {
        fn check(variable: &str, expected: bool) {
            assert_eq!(is_package_variable(variable), expected, "{variable}");
        }
        check("CARGO_PKG_NAME", true);
        check("CARGO_MANIFEST_DIR", true);
        check("CARGO_BIN_EXE_sampan", true);
        check("OUT_DIR", true);
        check("CARGO_HOME", false);
        check("CARGO_TARGET_DIR", false);
        check("CARGO_NET_OFFLINE", false);
        check("PATH", false);
    }

    #[test]
    fn a_command_is_shown_as_typed() {
        let mut command = Command::new("/usr/bin/cargo");
        assert_eq!(
            shown(command.args(["fmt", "--check"])),
            "`cargo fmt --check`"
        );
    }
}
