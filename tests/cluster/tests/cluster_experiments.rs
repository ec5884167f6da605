//! Runs the experiments once each at the smallest scale: with real pods of both kinds and a real
//! pool, stopped in the middle, resumed, and up to the report.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use sampan_cluster_tests::{Cluster, TEST_TIMEOUT};
use sampan_tests::program;
use serde_json::Value;

const FUNCTIONS: [&str; 2] = ["float-operation", "linear-equations"];
const EXPERIMENTS: [&str; 9] = [
    "serial",
    "first",
    "concurrent",
    "instantiation",
    "size",
    "resources",
    "density",
    "burst",
    "saturation",
];

fn start(folder: &Path, more: &[&str]) -> Child {
    let mut command = Command::new(program("sampan-bench"));
    command
        .args(["paper", "--scale", "tiny", "--pooled", "--out"])
        .arg(folder)
        .args(more);
    for function in FUNCTIONS {
        command.args(["--function", function]);
    }
    command
        .stdout(Stdio::null())
        .spawn()
        .expect("failed to start sampan-bench")
}

/// Waits until some units of work are done, and sends the program SIGTERM.
fn stop_in_the_middle(mut child: Child, folder: &Path) {
    let begun = Instant::now();
    while units(folder).len() < 4 {
        assert!(begun.elapsed() < TEST_TIMEOUT, "no unit of work is done");
        if let Some(status) = child.try_wait().unwrap() {
            panic!("it ended before it was asked to: {status}");
        }
        thread::sleep(Duration::from_millis(50));
    }
    let asked = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(asked.unwrap().success());
    assert!(!child.wait().unwrap().success());
}

fn units(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder.join("units")).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| Path::new(name).extension().is_some_and(|it| it == "gz"))
        .collect()
}

/// The namespaces that runs have made.
fn namespaces(cluster: &Cluster) -> Vec<String> {
    let said = cluster
        .kubectl()
        .output(&["get", "namespaces", "-o", "name"]);
    let names = said.lines().filter(|name| name.contains("/bench-paper-"));
    names.map(str::to_owned).collect()
}

/// The kinds that each experiment has values of.
fn kinds(folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let file = File::open(folder.join("samples.jsonl.gz")).unwrap();
    let mut kinds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in BufReader::new(MultiGzDecoder::new(file)).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let record = &line["record"];
        let has_values = record["values"]
            .as_array()
            .is_some_and(|values| !values.is_empty());
        if has_values {
            let word = |name: &str| record[name].as_str().unwrap().to_owned();
            kinds
                .entry(word("experiment"))
                .or_default()
                .insert(word("kind"));
        }
    }
    kinds
}

#[test]
fn every_experiment_measures_all_kinds_and_goes_on_where_it_was_stopped() {
    let cluster = Cluster::find();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("run");
    stop_in_the_middle(start(&folder, &[]), &folder);
    assert_eq!(namespaces(&cluster), [] as [&str; 0]);
    let kept = units(&folder);
    assert!(kept.len() >= 4, "{kept:?}");

    // Another run does not overwrite it.
    assert!(!start(&folder, &[]).wait().unwrap().success());
    assert!(units(&folder).is_superset(&kept));

    assert!(start(&folder, &["--resume"]).wait().unwrap().success());
    assert_eq!(namespaces(&cluster), [] as [&str; 0]);
    let kinds = kinds(&folder);
    let text = fs::read_to_string(folder.join("report.md")).unwrap();
    for experiment in EXPERIMENTS {
        let found = &kinds[experiment];
        assert!(
            found.contains("wasm") && found.contains("scratch"),
            "{experiment}: {found:?}"
        );
        let has_pool = !["size", "resources"].contains(&experiment);
        assert_eq!(
            found.contains("pooled"),
            has_pool,
            "{experiment}: {found:?}"
        );
    }
    assert!(kinds["size"].contains("distro"));
    for (experiment, number) in EXPERIMENTS.iter().zip(1..) {
        assert!(
            text.contains(&format!("\n## {number}. ")),
            "{experiment} is missing in {text}"
        );
    }
    for function in FUNCTIONS {
        assert!(
            text.contains(&format!("\n| {function} |")),
            "{function} is missing in {text}"
        );
    }
    assert!(folder.join("report.html").is_file() && folder.join("PLOT.svg").is_file());
}
