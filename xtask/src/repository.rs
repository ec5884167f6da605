//! Where things are: the checkout, and what is built outside of it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// How programs are built: a profile of the main workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// What tests and a checkout run.
    Release,
    /// What is handed out: optimised across crates.
    Shipped,
}

impl Profile {
    /// Its name, which is its folder's too.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Profile::Release => "release",
            Profile::Shipped => "shipped",
        }
    }
}

/// The checkout and its target folder.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    root: PathBuf,
    target: PathBuf,
    profile: Profile,
}

impl Repository {
    pub(crate) fn find() -> Result<Repository> {
        // Asked for at run time: one program may serve several checkouts from one target folder.
        let root = match env::var_os("CARGO_MANIFEST_DIR") {
            Some(package) => PathBuf::from(package).parent().map(Path::to_owned),
            None => root_above(&env::current_dir().context("failed to find the current folder")?),
        };
        let root = root.context("this is no checkout of the project; call `cargo xtask` in one")?;
        let target = target(env::var_os).context(
            "there is no place for what is built: neither CARGO_TARGET_DIR, XDG_CACHE_HOME nor HOME \
             is set",
        )?;
        // A relative folder means one thing to cargo, wherever we call it.
        let target = root.join(target);
        Ok(Repository {
            root,
            target,
            profile: Profile::Release,
        })
    }

    /// The same checkout, with programs as they are handed out.
    pub(crate) fn shipped(&self) -> Repository {
        Repository {
            profile: Profile::Shipped,
            ..self.clone()
        }
    }

    /// How programs are built.
    pub(crate) fn profile(&self) -> Profile {
        self.profile
    }

    /// The checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the functions' workspace.
    pub(crate) fn functions(&self) -> PathBuf {
        self.root.join("functions")
    }

    /// Cargo's target folder.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// A program of the workspace, once built.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.target.join(self.profile.name()).join(name)
    }

    /// Where the built functions are staged.
    pub(crate) fn staged(&self) -> PathBuf {
        self.target.join("functions")
    }

    /// The target folder of the functions' workspace.
    pub(crate) fn functions_target(&self) -> PathBuf {
        self.target.join("functions-build")
    }

    /// The folder of the workspace of the tests' guests.
    pub(crate) fn guests(&self) -> PathBuf {
        self.root.join("tests/guests")
    }

    /// Its target folder.
    pub(crate) fn guests_target(&self) -> PathBuf {
        self.target.join("guests-build")
    }

    /// Where the built guests are staged.
    pub(crate) fn staged_guests(&self) -> PathBuf {
        self.target.join("guests")
    }

    /// Where this program keeps its own files: the logs of stages and services.
    pub(crate) fn logs(&self) -> PathBuf {
        self.target.join("xtask")
    }
}

fn root_above(folder: &Path) -> Option<PathBuf> {
    let is_root = |folder: &&Path| folder.join("xtask/Cargo.toml").is_file();
    folder.ancestors().find(is_root).map(Path::to_owned)
}

/// The same rule stands in `.ci/run` and in the README.
fn target(variable: impl Fn(&'static str) -> Option<OsString>) -> Option<PathBuf> {
    let own = path_of(&variable, "CARGO_TARGET_DIR");
    own.or_else(|| Some(caches(variable)?.join("sampan/target")))
}

/// The user's folder for what can be made again.
pub(crate) fn caches(variable: impl Fn(&'static str) -> Option<OsString>) -> Option<PathBuf> {
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
        std::fs::create_dir(folder.path().join("xtask")).unwrap();
        std::fs::write(folder.path().join("xtask/Cargo.toml"), "").unwrap();
        assert_eq!(root_above(&inside).as_deref(), Some(folder.path()));
    }
}
