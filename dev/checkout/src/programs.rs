//! Finds programs in `PATH`.

use std::env;
use std::path::{Path, PathBuf};

/// The folders of `PATH`.
pub fn path() -> Vec<PathBuf> {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect()
}

/// Whether a program is in `PATH`.
pub fn has_program(name: &str) -> bool {
    path()
        .iter()
        .any(|folder| Path::new(folder).join(name).is_file())
}
