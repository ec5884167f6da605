//! `cargo xtask cluster`, as people call it.

use std::env;
use std::path::Path;
use std::process::{Command, Output};

/// Runs it for the cluster of this name, however it ends.
pub fn cluster_command(name: &str, words: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo tells of this package is not for the one that it calls.
    for (variable, _) in env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&variable);
        }
    }
    command
        .current_dir(root.canonicalize().expect("the checkout is there"))
        .args(["xtask", "cluster", "--name", name])
        .args(words);
    command.output().expect("failed to start cargo")
}
