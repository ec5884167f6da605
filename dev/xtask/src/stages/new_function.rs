//! Builds the project that `sampan new` writes; the tests serve it. This program chooses the
//! compiler, so that no test depends on it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use sampan_checkout::repository::Repository;
use sampan_checkout::toolchain::Toolchain;

use super::recorder::Recorder;

/// The variable with the folder of the new function.
pub(super) const FOLDER: &str = "SAMPAN_NEW_FUNCTION_DIR";

/// The name of the new function.
const NAME: &str = "first-steps";

/// Makes and builds the function with the `sampan` that was built before.
pub(super) fn build(
    repository: &Repository,
    toolchain: Toolchain,
    recorder: &mut Recorder,
) -> Result<PathBuf> {
    let folder = repository.logs().join(NAME);
    // The target folder is kept: it holds a standard library that takes half a minute to compile.
    let (target, kept) = (folder.join("target"), folder.with_extension("target"));
    let renew = || {
        move_if_there(&target, &kept)?;
        remove_if_there(&folder)
    };
    renew().with_context(|| format!("failed to clear {}", folder.display()))?;
    let mut new = Command::new(repository.program("sampan"));
    recorder.run(new.args(["new", NAME, "--path"]).arg(&folder))?;
    move_if_there(&kept, &target)
        .with_context(|| format!("failed to write to {}", folder.display()))?;
    recorder.run(&mut toolchain.build(&folder, &target))?;
    Ok(folder)
}

fn move_if_there(from: &Path, to: &Path) -> io::Result<()> {
    unless_absent(fs::rename(from, to))
}

fn remove_if_there(folder: &Path) -> io::Result<()> {
    unless_absent(fs::remove_dir_all(folder))
}

fn unless_absent(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
