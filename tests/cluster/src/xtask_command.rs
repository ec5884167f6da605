//! Runs `cargo xtask` commands.

use std::env;
use std::path::Path;
use std::process::{Command, Output};

use crate::Cluster;

/// `cargo xtask`, ready for arguments.
///
/// This is the program that was built together with this test. Calling `cargo` would rebuild it
/// after an edit, and wait for other builds.
pub fn xtask() -> Command {
    let this = env::current_exe().expect("a test has a path");
    let [release, target] = [2, 3].map(|above| {
        let folder = this.ancestors().nth(above);
        folder.expect("a test is in the target folder")
    });
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let mut command = Command::new(release.join("xtask"));
    command
        .current_dir(root.expect("the package is in a checkout"))
        // This package's folder would be taken for that of xtask.
        .env_remove("CARGO_MANIFEST_DIR")
        .env("CARGO_TARGET_DIR", target);
    command
}

/// Runs `cargo xtask cluster` for the cluster of this name; a failure is no panic.
pub fn cluster_command(name: &str, words: &[&str]) -> Output {
    let mut command = xtask();
    command.args(["cluster", "--name", name]).args(words);
    command.output().expect("xtask is built with all programs")
}

impl Cluster {
    /// The process of a component, from `cargo xtask cluster status`.
    pub fn process_of(&self, component: &str) -> String {
        let output = cluster_command(&self.name, &["status"]);
        let status = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = status.lines().map(str::split_whitespace);
        let line = lines.find(|line| line.clone().next() == Some(component));
        let number = line.and_then(|mut line| line.nth(2));
        number
            .unwrap_or_else(|| panic!("no {component}: {status}"))
            .to_owned()
    }

    /// Restarts a node's containerd. `node` is counted from 1; `kill` ends containerd at once.
    pub fn restart_containerd(&self, node: usize, kill: bool) {
        let node = node.to_string();
        let mut words = vec!["restart-containerd", "--node", &node];
        if kill {
            words.push("--kill");
        }
        let restarted = cluster_command(&self.name, &words);
        assert!(restarted.status.success(), "{restarted:?}");
    }
}

/// A cluster of a test's own, which is removed when this is dropped.
#[derive(Debug)]
pub struct OwnCluster {
    /// The cluster.
    pub cluster: Cluster,
    _down: Down,
}

impl OwnCluster {
    /// Starts a cluster of one node, without Sampan.
    pub fn bare(prefix: &str) -> OwnCluster {
        // No other test has this process's number.
        let name = format!("{prefix}-{}", std::process::id());
        let up = cluster_command(&name, &["up", "--bare"]);
        let said = String::from_utf8_lossy(&up.stderr).into_owned();
        let down = Down(name);
        assert!(up.status.success(), "cluster up: {said}");
        let output = cluster_command(&down.0, &["env"]);
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = lines
            .lines()
            .find_map(|line| line.strip_prefix("export SAMPAN_CLUSTER="));
        let file = line.unwrap_or_else(|| panic!("no description: {lines}"));
        let cluster = Cluster::read(Path::new(file.trim_matches('\'')));
        OwnCluster {
            cluster,
            _down: down,
        }
    }

    /// Runs `cargo xtask cluster` for it, and returns its output; panics if it fails.
    pub fn command(&self, words: &[&str]) -> String {
        let output = cluster_command(&self.cluster.name, words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cluster {words:?}: {said}");
        String::from_utf8(output.stdout).expect("xtask wrote invalid UTF-8")
    }
}

/// Removes a cluster at the end of its test, also after a panic.
#[derive(Debug)]
struct Down(String);

impl Drop for Down {
    fn drop(&mut self) {
        let output = cluster_command(&self.0, &["down"]);
        if !output.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
