//! Finds PostgreSQL's programs. Debian keeps them out of `PATH`, in one folder for each version.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The folder of servers on Debian and Ubuntu, each in `VERSION/bin`.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Why the programs are missing.
#[derive(Debug, Error)]
pub enum ProgramsError {
    /// The requested folder lacks one.
    #[error("there are no `initdb` and `postgres` in {}", .0.display())]
    NotThere(PathBuf),
    /// None of the usual folders has them.
    #[error("there are no `initdb` and `postgres` in {DEBIAN}/*/bin or PATH")]
    NotInstalled,
    /// The usual folder cannot be read.
    #[error("failed to read {DEBIAN}")]
    Read(#[source] io::Error),
}

/// The two programs that make and run a cluster, of one version.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Programs {
    pub(super) initdb: PathBuf,
    pub(super) postgres: PathBuf,
}

impl Programs {
    pub(super) fn find(folder: Option<&Path>) -> Result<Programs, ProgramsError> {
        if let Some(folder) = folder {
            let programs = Programs::in_folder(folder);
            return programs.ok_or_else(|| ProgramsError::NotThere(folder.to_owned()));
        }
        let installed = versions(Path::new(DEBIAN)).map_err(ProgramsError::Read)?;
        let path = env::var_os("PATH").unwrap_or_default();
        let mut folders = installed.into_iter().chain(env::split_paths(&path));
        let found = folders.find_map(|folder| Programs::in_folder(&folder));
        found.ok_or(ProgramsError::NotInstalled)
    }

    fn in_folder(folder: &Path) -> Option<Programs> {
        let programs = Programs {
            initdb: folder.join("initdb"),
            postgres: folder.join("postgres"),
        };
        (programs.initdb.is_file() && programs.postgres.is_file()).then_some(programs)
    }
}

/// The folders of the installed versions, the newest first; empty if none is installed.
fn versions(root: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut versions = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let version = name.to_str().and_then(version);
        versions.extend(version.map(|version| (version, root.join(name).join("bin"))));
    }
    versions.sort_unstable_by(|one, other| other.cmp(one));
    Ok(versions.into_iter().map(|(_, folder)| folder).collect())
}

/// Parses `15` or `9.6`, so that 9.6 is older than 10.
fn version(name: &str) -> Option<Vec<u32>> {
    name.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first() {
        fn check(installed: &[&str], expected: &[&str]) {
            let root = tempfile::tempdir().expect("a temporary folder");
            for name in installed {
                fs::create_dir(root.path().join(name)).expect("a folder in it");
            }
            let expected: Vec<_> = expected.iter().map(|name| root.path().join(name)).collect();
            let found = versions(root.path()).expect("a readable folder");
            assert_eq!(found, expected, "{installed:?}");
        }
        check(&[], &[]);
        check(&["9.6", "15", "10"], &["15/bin", "10/bin", "9.6/bin"]);
        check(&["common", "16"], &["16/bin"]);
    }

    #[test]
    fn nothing_installed_is_no_failure_to_read() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let versions = versions(&root.path().join("absent")).expect("no failure");
        assert_eq!(versions, Vec::<PathBuf>::new());
    }

    #[test]
    fn a_folder_without_the_programs_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = Programs::find(Some(folder.path())).expect_err("no programs");
        assert!(matches!(error, ProgramsError::NotThere(named) if named == folder.path()));
    }
}
