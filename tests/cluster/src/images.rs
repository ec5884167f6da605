//! Pushes images of functions to the cluster's registry, as users do.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use sampan_tests::component as guest;
use sampan_tests::program;
use serde_json::Value;

use crate::Cluster;

/// The variable with the folder of the staged functions.
const FOLDER: &str = "SAMPAN_FUNCTIONS_DIR";

/// The folder of a staged function, with its `function.yaml` and its component.
pub fn staged(function: &str) -> PathBuf {
    let folder = env::var_os(FOLDER)
        .unwrap_or_else(|| panic!("{FOLDER} is not set; run `cargo xtask test cluster`"));
    PathBuf::from(folder).join(function)
}

/// The component of the smallest function, which answers every request with the same line.
pub fn hello() -> PathBuf {
    staged("bench/hello/hello.wasm")
}

/// Pushes a .wasm file or a function.yaml as a Wasm artifact, and returns the image by its digest.
/// A pod that starts it names a command, as the operator's do.
pub fn push(cluster: &Cluster, file: &Path, repository: &str) -> String {
    push_with(cluster, file, repository, &[])
}

/// As [`push`], as an ordinary image, which starts in any pod of the runtime class.
pub fn push_image(cluster: &Cluster, file: &Path, repository: &str) -> String {
    push_with(cluster, file, repository, &["--image"])
}

fn push_with(cluster: &Cluster, file: &Path, repository: &str, options: &[&str]) -> String {
    let image = format!("{}/{repository}", cluster.registry);
    let mut command = Command::new(program("sampan"));
    command
        .arg("push")
        .arg(file)
        .arg(format!("{image}:test"))
        .args(["--output", "json", "--force"])
        .args(options);
    let output = command.output().expect("failed to start sampan");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "sampan push {}: {said}",
        file.display()
    );
    let said: Value =
        serde_json::from_slice(&output.stdout).expect("sampan push wrote invalid JSON");
    let digest = said["digest"]
        .as_str()
        .expect("sampan push reported no digest");
    format!("{image}@{digest}")
}

/// Assembles a module from text, and pushes it as an ordinary image.
pub fn push_text(cluster: &Cluster, text: &str, repository: &str) -> String {
    let bytes = wat::parse_str(text).expect("the test's module is wrong");
    push_bytes(cluster, &bytes, repository)
}

/// Pushes bytes, which need not be a module, as an ordinary image.
pub fn push_bytes(cluster: &Cluster, bytes: &[u8], repository: &str) -> String {
    let folder = tempfile::tempdir().expect("failed to make a folder");
    let file = folder.path().join("function.wasm");
    fs::write(&file, bytes).expect("failed to write a file");
    push_image(cluster, &file, repository)
}
