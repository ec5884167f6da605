//! Builds and stages the guests of the whole-system tests.
//!
//! They are components that misbehave, which are built like the functions, and components of other
//! languages. Only tests use them.

mod engines;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use sampan_checkout::repository::Repository;
use sampan_checkout::toolchain::{TARGET, Toolchain};

/// The variable with the folder of the staged guests.
pub const FOLDER: &str = "SAMPAN_GUESTS_DIR";

/// Builds the guests in Rust and stages them under their packages' names. `run` runs a command.
pub fn build_own(
    repository: &Repository,
    toolchain: Toolchain,
    mut run: impl FnMut(&mut Command) -> Result<()>,
) -> Result<()> {
    let mut command = toolchain.build(&repository.guests(), &repository.guests_target());
    run(command.args(["--workspace", "--lib", "--bins"]))?;
    let staged = repository.staged_guests();
    fs::create_dir_all(&staged).with_context(|| format!("failed to make {}", staged.display()))?;
    stage_all(
        &repository.guests_target().join(TARGET).join("release"),
        &staged,
    )
}

/// Builds all guests, including those of other languages.
pub fn build(
    repository: &Repository,
    toolchain: Toolchain,
    mut run: impl FnMut(&mut Command) -> Result<()>,
) -> Result<()> {
    build_own(repository, toolchain, &mut run)?;
    let staged = repository.staged_guests();
    for mut engine in engines::all(repository)? {
        for mut command in engine.commands() {
            run(&mut command)?;
        }
        engine.built()?;
        for component in engine.components {
            stage(&engine.folder.join(component), &staged.join(component))?;
        }
    }
    Ok(())
}

fn stage_all(built: &Path, staged: &Path) -> Result<()> {
    let files = fs::read_dir(built)
        .with_context(|| format!("failed to read the built guests in {}", built.display()))?;
    for file in files {
        let from = file.context("failed to list the guests")?.path();
        let is_component = from
            .extension()
            .is_some_and(|extension| extension == "wasm");
        let name = from.file_name().unwrap_or_default().to_string_lossy();
        if is_component {
            stage(&from, &staged.join(name.replace('_', "-")))?;
        }
    }
    Ok(())
}

fn stage(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("failed to stage {}", from.display()))?;
    Ok(())
}
