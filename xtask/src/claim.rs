//! Whose build the target folder holds. Several checkouts may share one, so that the engine is compiled
//! once; but cargo takes what another checkout built for its own as long as the files here are older, and
//! that has other sources and other paths in it. So what the packages of the project left there is
//! removed when the checkout changes; the dependencies stay.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;

use anyhow::{Context as _, Result};

use crate::cargo;
use crate::metadata::Metadata;
use crate::repository::{Profile, Repository};
use crate::toolchain::TARGET;

/// Makes the target folder this checkout's.
pub(crate) fn claim(repository: &Repository) -> Result<()> {
    let note = repository.logs().join("checkout");
    let here = repository.root().as_os_str().as_bytes();
    match fs::read(&note) {
        Ok(owner) if owner == here => return Ok(()),
        Ok(_) => forget_others(repository)?,
        // Nobody has used it, or somebody who left no note: cargo itself, whose builds are of this checkout.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("failed to read {}", note.display()));
        }
    }
    fs::create_dir_all(repository.logs())
        .and_then(|()| fs::write(&note, here))
        .with_context(|| format!("failed to write {}", note.display()))
}

/// Removes what packages of the project left, but not this program, which cargo has just looked at.
fn forget_others(repository: &Repository) -> Result<()> {
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
