//! The guests of the whole-system tests: a workspace of components that misbehave, built like the
//! functions and staged for the tests alone.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::repository::Repository;
use crate::toolchain::{TARGET, Toolchain};

/// Tells tests where the staged guests are.
pub(crate) const FOLDER: &str = "SAMPAN_GUESTS_DIR";

/// The command that builds all of them.
pub(crate) fn command(repository: &Repository, toolchain: Toolchain) -> Command {
    let mut command = toolchain.build(&repository.guests(), &repository.guests_target());
    command.args(["--workspace", "--lib", "--bins"]);
    command
}

/// Puts what was built in its place, under the packages' names.
pub(crate) fn stage(repository: &Repository) -> Result<()> {
    let (built, staged) = (repository.guests_target(), repository.staged_guests());
    let built = built.join(TARGET).join("release");
    fs::create_dir_all(&staged).with_context(|| format!("failed to make {}", staged.display()))?;
    let files =
        fs::read_dir(&built).with_context(|| format!("no guests in {}", built.display()))?;
    for file in files {
        let from = file.context("failed to list the guests")?.path();
        let is_component = from
            .extension()
            .is_some_and(|extension| extension == "wasm");
        let name = from.file_name().unwrap_or_default().to_string_lossy();
        if is_component {
            let to = staged.join(name.replace('_', "-"));
            fs::copy(&from, &to).with_context(|| format!("failed to stage {}", from.display()))?;
        }
    }
    Ok(())
}
