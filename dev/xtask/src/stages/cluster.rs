//! Runs the tests on a real Kubernetes. A cluster is started for them and taken down after them,
//! however they end.

use std::process::Command;

use anyhow::Result;
use clap::ValueEnum as _;
use sampan_build::functions::FUNCTIONS_FOLDER;
use sampan_build::guests;
use sampan_checkout::cargo;
use sampan_checkout::machine::Need;
use sampan_checkout::repository::Repository;
use sampan_cluster::{
    DESCRIPTION, KubernetesVersion, NEEDS, OWN_NEEDS, provide_bench_images, test_cluster,
};

use super::recorder::Recorder;
use crate::bench::IMAGES;

/// The package of the tests.
pub(super) const PACKAGE: &str = "sampan-cluster-tests";

/// The folder of that package.
pub(super) const FOLDER: &str = "tests/cluster";

/// The needs of the tests, in addition to those of their cluster.
const TESTS: &[Need] = &[Need::Nginx, Need::Curl, Need::Stress];

pub(super) fn needs() -> Vec<Need> {
    [NEEDS, OWN_NEEDS, TESTS].concat()
}

/// Two nodes, because one would hide failures between nodes.
const NODES: &str = "2";

/// Frequent reconciles soon reveal work that is done twice.
const RESYNC: &str = "10s";

/// Runs them on this version of Kubernetes, or on the usual one, and keeps the cluster on request.
pub(super) fn run(
    repository: &Repository,
    kubernetes: Option<KubernetesVersion>,
    keep: bool,
    recorder: &mut Recorder,
) -> Result<()> {
    let kubernetes = kubernetes.and_then(|version| version.to_possible_value());
    let mut up = vec![
        "up",
        "--nodes",
        NODES,
        "--resync",
        RESYNC,
        "--metrics-server",
    ];
    if let Some(version) = &kubernetes {
        up.extend(["--kubernetes", version.get_name()]);
    }
    let (name, description) = test_cluster(repository)?;
    let cluster = |words: &[&str]| {
        // Not the running file: an earlier stage may have made cargo link it anew.
        let mut command = Command::new(repository.program("xtask"));
        command
            .current_dir(repository.root())
            .env("CARGO_TARGET_DIR", repository.target())
            .args(["cluster", "--name", &name])
            .args(words);
        command
    };
    super::build_own_guests(repository, recorder)?;
    // An earlier run may have kept its cluster, and a test starts from a new one.
    let tested = recorder
        .run(&mut cluster(&["down"]))
        .and_then(|()| recorder.run(&mut cluster(&up)))
        .and_then(|()| {
            let images = provide_bench_images(repository, &name)?.file;
            let mut tests = cargo::main_workspace(repository, "test");
            tests
                .args([
                    "--release",
                    "--workspace",
                    "--no-fail-fast",
                    "--test",
                    "cluster_*",
                ])
                .env(FUNCTIONS_FOLDER, repository.staged())
                .env(IMAGES, images)
                .env(guests::FOLDER, repository.staged_guests())
                .env(DESCRIPTION, &description);
            recorder.run(&mut tests)
        });
    if keep {
        recorder.log_line(&format!(
            "the cluster was kept: cargo xtask cluster --name {name} env, and down"
        ))?;
        return tested;
    }
    let ended = recorder.run(&mut cluster(&["down"]));
    tested.and(ended)
}
