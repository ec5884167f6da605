//! Tests `cargo xtask cluster`: a second cluster beside the one under test starts, is repaired,
//! does not affect its neighbour, and leaves nothing behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use sampan_cluster_tests::{Cluster, TEST_TIMEOUT, cluster_command};
use serde_json::Value;

/// The cluster's name. No other test has this process's number.
fn name() -> String {
    format!("life-{}", std::process::id())
}

fn xtask(words: &[&str]) -> Output {
    cluster_command(&name(), words)
}

fn succeed(words: &[&str]) -> String {
    let output = xtask(words);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cluster {words:?}: {said}");
    String::from_utf8(output.stdout).expect("xtask wrote invalid UTF-8")
}

/// Removes the cluster at the end of the test, also after a panic.
struct Down;

impl Drop for Down {
    fn drop(&mut self) {
        let output = xtask(&["down"]);
        if !output.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// Everything on this machine that carries the cluster's name.
fn leftovers() -> BTreeSet<String> {
    let name = format!("sampan-{}", name());
    let state = format!("clusters/{}", self::name());
    let is_of = |text: &str| text.contains(&name) || text.contains(&state);
    let mut leftovers = BTreeSet::new();
    for process in fs::read_dir("/proc").expect("there is no /proc").flatten() {
        // Processes may end during the search.
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let groups = fs::read_to_string(process.path().join("cgroup")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        if is_of(&words) || is_of(&groups) {
            leftovers.insert(format!("process {}: {words}", process.path().display()));
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("there is no /proc");
    leftovers.extend(
        mounts
            .lines()
            .filter(|line| is_of(line))
            .map(|line| format!("mount {line}")),
    );
    let mut groups = vec![PathBuf::from("/sys/fs/cgroup")];
    for hierarchy in fs::read_dir("/sys/fs/cgroup")
        .into_iter()
        .flatten()
        .flatten()
    {
        groups.push(hierarchy.path());
    }
    let folders = [
        "/run",
        "/run/netns",
        "/var/log/containers",
        "/var/lib/cni/results",
    ];
    groups.extend(folders.map(PathBuf::from));
    for folder in groups {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            if is_of(&entry.path().to_string_lossy()) || is_of(&target.to_string_lossy()) {
                leftovers.insert(entry.path().display().to_string());
            }
        }
    }
    leftovers
}

/// Waits, because an ended process exists until its parent has reaped it, and there is no notice of
/// that.
fn wait_for_no_leftovers() {
    let begun = Instant::now();
    while !leftovers().is_empty() {
        assert!(
            begun.elapsed() < TEST_TIMEOUT,
            "left behind: {:#?}",
            leftovers()
        );
        thread::sleep(Duration::from_millis(100));
    }
}

/// The running components, with their processes.
fn components() -> BTreeSet<String> {
    let status = succeed(&["status"]);
    let lines = status.lines().filter(|line| line.contains(" process "));
    lines
        .map(|line| {
            line.split_whitespace()
                .take(3)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}

#[test]
fn a_cluster_comes_up_is_repaired_and_leaves_nothing() {
    let neighbour = Cluster::find();
    assert_eq!(leftovers(), BTreeSet::new());
    let down = Down;
    succeed(&["up", "--bare"]);
    let first = components();
    assert!(first.len() >= 9, "{first:?}");

    // A second `up` changes nothing.
    succeed(&["up", "--bare"]);
    assert_eq!(components(), first);

    // A component that ended is started again, and nothing else changes.
    let scheduler = first
        .iter()
        .find(|line| line.starts_with("kube-scheduler "));
    let pid = scheduler.and_then(|line| line.rsplit(' ').next()).unwrap();
    let killed = Command::new("kill").args(["-KILL", pid]).status().unwrap();
    assert!(killed.success());
    while xtask(&["status"]).status.success() {
        // Until the end of the process is visible.
    }
    succeed(&["up", "--bare"]);
    let second = components();
    let changed: Vec<_> = first.difference(&second).collect();
    assert_eq!(changed, [scheduler.unwrap()]);

    // A pod must not make `down` leave anything.
    let description = succeed(&["env"]);
    let file = description
        .lines()
        .find_map(|line| line.strip_prefix("export SAMPAN_CLUSTER="))
        .unwrap()
        .trim_matches('\'');
    let description: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_ne!(
        Path::new(description["kubeconfig"].as_str().unwrap()),
        neighbour.kubeconfig
    );
    let own: Cluster = serde_json::from_value(description).unwrap();
    let kubectl = own.kubectl();
    kubectl.output(&[
        "run",
        "sleeper",
        "--image=sampan.test/busybox:1",
        "--",
        "sleep",
        "86400",
    ]);
    kubectl.output(&[
        "wait",
        "pod/sleeper",
        "--for=condition=Ready",
        "--timeout=120s",
    ]);
    assert!(
        leftovers().len() > 10,
        "the search finds no leftovers of a running cluster"
    );

    succeed(&["down"]);
    wait_for_no_leftovers();
    assert!(!Path::new(file).exists());
    succeed(&["down"]);
    drop(down);
    let nodes = neighbour.kubectl().output(&["get", "nodes", "-o", "name"]);
    assert_eq!(nodes.lines().count(), neighbour.nodes.len());
}
