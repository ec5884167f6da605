//! `cargo xtask cluster`, as people call it.

use std::env;
use std::path::Path;
use std::process::{Command, Output};

/// Runs it for the cluster of this name, however it ends.
///
/// It is the program behind `cargo xtask`, as it was built with this test: `cargo` would build it anew when somebody
/// edits it meanwhile, and wait for whoever builds something else.
pub fn cluster_command(name: &str, words: &[&str]) -> Output {
    let this = env::current_exe().expect("a test has a path");
    let [release, target] = [2, 3].map(|above| {
        let folder = this.ancestors().nth(above);
        folder.expect("a test is in the target folder")
    });
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let mut command = Command::new(release.join("xtask"));
    command
        .current_dir(root.expect("the package is in a checkout"))
        // It would take that of this package for its own.
        .env_remove("CARGO_MANIFEST_DIR")
        .env("CARGO_TARGET_DIR", target)
        .args(["cluster", "--name", name])
        .args(words);
    command.output().expect("xtask is built with all programs")
}
