//! `cargo xtask functions`: builds the functions as components and as native programs, and stages
//! them.
//!
//! It also makes container images of the native programs.

mod arguments;
mod base;
mod catalogue;
mod images;
mod staging;

use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use sampan_checkout::cargo;
use sampan_checkout::machine::Machine;
use sampan_checkout::repository::Repository;
use sampan_checkout::toolchain;

pub use arguments::Functions;
pub use catalogue::Function;
pub use images::{Form, Maker};

/// The variable with the folder of the staged functions.
pub const FUNCTIONS_FOLDER: &str = "SAMPAN_FUNCTIONS_DIR";

/// Builds and stages the requested functions.
pub fn run(repository: &Repository, machine: &Machine, asked: &Functions) -> Result<()> {
    let begun = Instant::now();
    let toolchain = toolchain::provide(asked.toolchain, machine.may_install())?;
    eprintln!("building components with {}", toolchain.name());
    let functions = Function::select(repository, &asked.names)?;
    for mut command in commands(repository, toolchain, &functions) {
        cargo::run(&mut command)?;
    }
    stage(repository, &functions)?;
    let (count, folder) = (functions.len(), repository.staged());
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!(
        "staged {count} functions in {} ({seconds:.1} s)",
        folder.display()
    );
    if asked.images {
        images::run(repository, asked, &functions)?;
    }
    Ok(())
}

/// Returns the commands that build the functions: the components, then the native programs.
pub fn commands(
    repository: &Repository,
    toolchain: toolchain::Toolchain,
    functions: &[Function],
) -> [Command; 2] {
    let packages = functions
        .iter()
        .flat_map(|function| ["--package", &function.package]);
    let packages: Vec<_> = packages.collect();
    let mut components = toolchain.build(&repository.functions(), &repository.functions_target());
    cargo::lock(&mut components);
    components.arg("--lib").args(&packages);
    let mut programs = cargo::functions_workspace(repository, "build");
    programs.args(["--release", "--bins"]).args(&packages);
    [components, programs]
}

/// Copies the built functions to the folder where they are staged.
pub fn stage(repository: &Repository, functions: &[Function]) -> Result<()> {
    functions
        .iter()
        .try_for_each(|function| staging::stage(repository, function))
}
