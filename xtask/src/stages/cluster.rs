//! The tests on a real Kubernetes: a cluster of their own is started for them and, however they end, taken
//! down after them.

use std::process::Command;

use anyhow::Result;

use super::recorder::Recorder;
use crate::bench::IMAGES;
use crate::cargo;
use crate::cluster::{DESCRIPTION, NEEDS, OWN_NEEDS, of_tests, stock};
use crate::guests;
use crate::machine::Need;
use crate::repository::Repository;

/// The package of the tests.
pub(super) const PACKAGE: &str = "sampan-cluster-tests";

/// Its folder.
pub(super) const FOLDER: &str = "tests/cluster";

/// What the tests need of the machine, beside what their cluster does.
const TESTS: &[Need] = &[Need::Nginx, Need::Curl, Need::Stress];

pub(super) fn needs() -> Vec<Need> {
    [NEEDS, OWN_NEEDS, TESTS].concat()
}

/// Two nodes: one would hide what goes wrong between them.
const NODES: &str = "2";

/// Looking often shows soon what is done twice.
const RESYNC: &str = "10s";

pub(super) fn run(repository: &Repository, keep: bool, recorder: &mut Recorder) -> Result<()> {
    let (name, description) = of_tests(repository)?;
    let cluster = |words: &[&str]| {
        // Not this very file: the stages before may have made cargo link it anew.
        let mut command = Command::new(repository.program("xtask"));
        command
            .current_dir(repository.root())
            .env("CARGO_TARGET_DIR", repository.target())
            .args(["cluster", "--name", &name])
            .args(words);
        command
    };
    super::build_own_guests(repository, recorder)?;
    // What an earlier run was made to leave would be another start.
    let tested = recorder
        .run(&mut cluster(&["down"]))
        .and_then(|()| recorder.run(&mut cluster(&["up", "--nodes", NODES, "--resync", RESYNC])))
        .and_then(|()| {
            let images = stock(repository, &name)?.file;
            let mut tests = cargo::main_workspace(repository, "test");
            tests
                .args([
                    "--release",
                    "--workspace",
                    "--no-fail-fast",
                    "--test",
                    "cluster_*",
                ])
                .env(super::FUNCTIONS_FOLDER, repository.staged())
                .env(IMAGES, images)
                .env(guests::FOLDER, repository.staged_guests())
                .env(DESCRIPTION, &description);
            recorder.run(&mut tests)
        });
    if keep {
        recorder.say(&format!(
            "the cluster was kept: cargo xtask cluster --name {name} env, and down"
        ))?;
        return tested;
    }
    let ended = recorder.run(&mut cluster(&["down"]));
    tested.and(ended)
}
