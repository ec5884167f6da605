//! Keeps builds of different checkouts apart in a shared target folder.
//!
//! Several checkouts may share one target folder, so that the engine is compiled once. Cargo reuses
//! what another checkout built as long as the files of this one are older, although sources and
//! paths differ. When the checkout changes, the artifacts of the project's own packages are
//! removed; those of the dependencies stay.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;

use anyhow::{Context as _, Result};

use crate::cargo;
use crate::metadata::Metadata;
use crate::repository::{Profile, Repository};
use crate::toolchain::TARGET;

/// Records this checkout as the owner of the target folder, after removing another owner's
/// artifacts.
pub(crate) fn claim(repository: &Repository) -> Result<()> {
    let note = repository.logs().join("checkout");
    let here = repository.root().as_os_str().as_bytes();
    match fs::read(&note) {
        Ok(owner) if owner == here => return Ok(()),
        Ok(_) => remove_foreign_artifacts(repository)?,
        // A target folder without a note is new, or was used by cargo alone for this checkout.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("failed to read {}", note.display()));
        }
    }
    fs::create_dir_all(repository.logs())
        .and_then(|()| fs::write(&note, here))
        .with_context(|| format!("failed to write {}", note.display()))
}

/// Removes the artifacts of the project's packages except this program, which cargo has just
/// checked.
fn remove_foreign_artifacts(repository: &Repository) -> Result<()> {
    let members = Metadata::read(cargo::main_workspace(repository, "metadata"))?;
    for profile in [Profile::Release, Profile::Shipped] {
        let mut clean = cargo::main_workspace(repository, "clean");
        clean.args(["--quiet", "--profile", profile.name()]);
        for package in members.members() {
            if package.name != "xtask" {
                clean.args(["--package", &package.name]);
            }
        }
        cargo::run(&mut clean)?;
    }
    for workspace in [cargo::functions_workspace, cargo::guests_workspace] {
        for build in [&[][..], &["--release"], &["--release", "--target", TARGET]] {
            let mut clean = workspace(repository, "clean");
            cargo::run(clean.args(["--quiet", "--workspace"]).args(build))?;
        }
    }
    Ok(())
}
