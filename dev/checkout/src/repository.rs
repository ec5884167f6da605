//! Finds the checkout, and the folders of what is built outside of it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The profile of the main workspace to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// The profile of tests and of work in a checkout.
    Release,
    /// The profile of a release: optimised across crates.
    Shipped,
}

impl Profile {
    /// The profile's name, which is also the name of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Release => "release",
            Profile::Shipped => "shipped",
        }
    }
}

/// The checkout and its target folder.
#[derive(Debug, Clone)]
pub struct Repository {
    root: PathBuf,
    target: PathBuf,
    profile: Profile,
}

impl Repository {
    /// The checkout that cargo or the current folder is in.
    pub fn find() -> Result<Repository> {
        // Read at run time: one program may serve several checkouts from one target folder.
        let inside = match env::var_os("CARGO_MANIFEST_DIR") {
            Some(package) => PathBuf::from(package),
            None => env::current_dir().context("failed to find the current folder")?,
        };
        let root = root_above(&inside)
            .context("this is not a checkout of the project; run `cargo xtask` in one")?;
        let target = target(env::var_os).context(
            "failed to find the target folder: set CARGO_TARGET_DIR, XDG_CACHE_HOME or \
             HOME",
        )?;
        // A relative folder must mean the same to cargo, from any working directory.
        let target = root.join(target);
        Ok(Repository {
            root,
            target,
            profile: Profile::Release,
        })
    }

    /// The same checkout, with programs in the profile of a release.
    #[must_use]
    pub fn shipped(&self) -> Repository {
        Repository {
            profile: Profile::Shipped,
            ..self.clone()
        }
    }

    /// The profile of its programs.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The folder of the checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the functions' workspace.
    pub fn functions(&self) -> PathBuf {
        self.root.join("functions")
    }

    /// Cargo's target folder.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The path of a built program of the workspace.
    pub fn program(&self, name: &str) -> PathBuf {
        self.target.join(self.profile.name()).join(name)
    }

    /// The folder of the staged functions.
    pub fn staged(&self) -> PathBuf {
        self.target.join("functions")
    }

    /// The target folder of the functions' workspace.
    pub fn functions_target(&self) -> PathBuf {
        self.target.join("functions-build")
    }

    /// The folder of the workspace of the tests' guests.
    pub fn guests(&self) -> PathBuf {
        self.root.join("tests/guests")
    }

    /// Its target folder.
    pub fn guests_target(&self) -> PathBuf {
        self.target.join("guests-build")
    }

    /// The folder of the staged guests.
    pub fn staged_guests(&self) -> PathBuf {
        self.target.join("guests")
    }

    /// The folder of this program's own files: the logs of stages and services.
    pub fn logs(&self) -> PathBuf {
        self.target.join("xtask")
    }
}

fn root_above(folder: &Path) -> Option<PathBuf> {
    let is_root = |folder: &&Path| folder.join("dev/xtask/Cargo.toml").is_file();
    folder.ancestors().find(is_root).map(Path::to_owned)
}

/// `.ci/run` and the README state the same rule.
fn target(variable: impl Fn(&'static str) -> Option<OsString>) -> Option<PathBuf> {
    let own = path_of(&variable, "CARGO_TARGET_DIR");
    own.or_else(|| Some(caches(variable)?.join("sampan/target")))
}

/// The user's cache folder.
pub fn caches(variable: impl Fn(&'static str) -> Option<OsString>) -> Option<PathBuf> {
    let own = path_of(&variable, "XDG_CACHE_HOME");
    own.or_else(|| Some(path_of(&variable, "HOME")?.join(".cache")))
}

fn path_of(
    variable: impl Fn(&'static str) -> Option<OsString>,
    name: &'static str,
) -> Option<PathBuf> {
    variable(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_variable_that_is_set_decides() {
        fn check(variables: &[(&str, &str)], expected: Option<&str>) {
            let folder = target(|name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            });
            assert_eq!(folder, expected.map(PathBuf::from), "{variables:?}");
        }
        let home = ("HOME", "/h");
        check(&[home], Some("/h/.cache/sampan/target"));
        check(&[home, ("XDG_CACHE_HOME", "/x")], Some("/x/sampan/target"));
        check(&[home, ("CARGO_TARGET_DIR", "/t")], Some("/t"));
        check(
            &[home, ("CARGO_TARGET_DIR", "")],
            Some("/h/.cache/sampan/target"),
        );
        check(&[], None);
    }

    #[test]
    fn the_checkout_is_found_from_inside() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("crates/spec/src");
        std::fs::create_dir_all(&inside).unwrap();
        assert_eq!(root_above(&inside), None);
        let xtask = folder.path().join("dev/xtask");
        std::fs::create_dir_all(&xtask).unwrap();
        std::fs::write(xtask.join("Cargo.toml"), "").unwrap();
        assert_eq!(root_above(&inside).as_deref(), Some(folder.path()));
    }
}
