//! Keeps builds of different checkouts apart in a shared target folder.
//!
//! Several checkouts may share one target folder, so that the engine is compiled once. Cargo reuses
//! what another checkout built as long as the files of this one are older, although sources and
//! paths differ. When the checkout changes, the artifacts of the project's own packages are
//! removed; those of the dependencies stay.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;

use anyhow::{Context as _, Result};
use sampan_checkout::cargo;
use sampan_checkout::metadata::Metadata;
use sampan_checkout::repository::{Profile, Repository};
use sampan_checkout::toolchain::TARGET;

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

/// Removes the artifacts of the project's packages except those of this program, which cargo has
/// just checked.
fn remove_foreign_artifacts(repository: &Repository) -> Result<()> {
    let members = Metadata::read(cargo::main_workspace(repository, "metadata"))?;
    let own = own(&members);
    for profile in [Profile::Release, Profile::Shipped] {
        let mut clean = cargo::main_workspace(repository, "clean");
        clean.args(["--quiet", "--profile", profile.name()]);
        for package in members.members() {
            if !own.contains(package.name.as_str()) {
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

/// The packages of this checkout that this program is made of.
fn own(members: &Metadata) -> BTreeSet<&str> {
    let mut own = BTreeSet::new();
    let mut left = vec!["xtask"];
    while let Some(name) = left.pop() {
        if own.insert(name) {
            let package = members.members().filter(|package| package.name == name);
            let used = package.flat_map(|package| &package.dependencies);
            let used = used.filter(|used| used.path.is_some() && !used.is_for_tests());
            left.extend(used.map(|used| used.name.as_str()));
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn this_program_is_made_of_what_its_packages_use() {
        let package = |name: &str, used: &[(&str, Option<&str>, Option<&str>)]| {
            let used = used
                .iter()
                .map(|(name, kind, path)| json!({ "name": name, "kind": kind, "path": path }));
            json!({
                "id": name, "name": name, "version": "0.1.0", "manifest_path": "Cargo.toml", "license": null,
                "source": null, "dependencies": used.collect::<Vec<_>>(), "targets": [],
            })
        };
        let members = json!({
            "packages": [
                package("xtask", &[("a", None, Some("/a")), ("anyhow", None, None), ("t", Some("dev"), Some("/t"))]),
                package("a", &[("b", None, Some("/b"))]),
                package("b", &[]),
                package("c", &[("a", None, Some("/a"))]),
            ],
            "workspace_members": ["xtask", "a", "b", "c"],
            "resolve": null,
        });
        let members: Metadata = serde_json::from_value(members).unwrap();
        assert_eq!(own(&members), BTreeSet::from(["a", "b", "xtask"]));
    }
}
