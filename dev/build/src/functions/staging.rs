//! Copies built functions to where `sampan up`, the tests and the benchmarks look for them.
//!
//! A file is replaced atomically and only when it changed, because a process may be watching the
//! folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context as _, Result};
use sampan_checkout::repository::Repository;
use sampan_checkout::toolchain::TARGET;

use super::catalogue::{FILE, Function};

pub(super) fn stage(repository: &Repository, function: &Function) -> Result<()> {
    let (built, staged) = (repository.functions_target(), repository.staged());
    let component = built.join(TARGET).join("release").join(&function.component);
    let folder = function.staged_in(&staged);
    if function.is_served {
        stage_file(&function.folder.join(FILE), &folder.join(FILE))?;
    }
    stage_file(&component, &function.component_in(&folder))?;
    let program = built.join("release").join(&function.name);
    stage_file(&program, &staged.join("bin").join(&function.name))
}

fn stage_file(from: &Path, to: &Path) -> Result<()> {
    copy(from, to)
        .with_context(|| format!("failed to stage {} as {}", from.display(), to.display()))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if is_same(from, to)? {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = temporary_path(to);
    fs::copy(from, &new)?;
    fs::rename(&new, to)
}

fn is_same(from: &Path, to: &Path) -> io::Result<bool> {
    match fs::read(to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        staged => Ok(staged? == fs::read(from)?),
    }
}

/// A temporary name that no function has and no other process uses.
fn temporary_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.new", process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_only_when_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("deep/to"));
        let modified = || fs::metadata(&to).unwrap().modified().unwrap();

        fs::write(&from, "one").unwrap();
        stage_file(&from, &to).unwrap();
        let first = modified();
        stage_file(&from, &to).unwrap();
        assert_eq!(modified(), first);

        fs::write(&from, "two").unwrap();
        stage_file(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "two");
        assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn an_error_names_the_missing_file() {
        let error = stage_file(Path::new("/absent/aes.wasm"), Path::new("/absent/staged"));
        assert!(error.unwrap_err().to_string().contains("/absent/aes.wasm"));
    }
}
