//! The cluster of a benchmark: every function is in its registry and on its nodes, as a component
//! and as both container images.
//!
//! `SAMPAN_CLUSTER` may describe a running cluster, which stays as it was. Otherwise one is started
//! for the benchmark. A child process waits for the end of this process and takes that cluster
//! down.

use std::env;
use std::fs;
use std::io::PipeWriter;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};

use anyhow::{Context as _, Result, bail};
use sampan_checkout::machine::Machine;
use sampan_checkout::repository::Repository;
use sampan_cluster::{BenchImages, DESCRIPTION};

use super::{IMAGES, Variable, variable};

/// The function for measurements of the call alone.
const HELLO: &str = "hello";

const WASM_IMAGE: &str = "SAMPAN_BENCH_WASM_IMAGE";
const CONTAINER_IMAGE: &str = "SAMPAN_BENCH_CONTAINER_IMAGE";

/// A running cluster.
#[derive(Debug)]
pub(super) struct BenchCluster {
    name: String,
    description: PathBuf,
    /// `None` for a cluster that is kept.
    teardown: Option<Teardown>,
}

/// Takes the cluster down when the pipe closes, which it does when this process ends.
#[derive(Debug)]
struct Teardown {
    pipe: PipeWriter,
    process: Child,
}

impl BenchCluster {
    pub(super) fn start(
        repository: &Repository,
        machine: &Machine,
        keep: bool,
    ) -> Result<BenchCluster> {
        if let Some(description) = env::var_os(DESCRIPTION).filter(|value| !value.is_empty()) {
            let description = PathBuf::from(description);
            let name = sampan_cluster::name_in_description(&description)?;
            eprintln!("measuring on the cluster {name}, as {DESCRIPTION} says");
            let teardown = None;
            return Ok(BenchCluster {
                name,
                description,
                teardown,
            });
        }
        let (name, description) = sampan_cluster::bench_cluster(repository)?;
        // Before the cluster is started, so that a half-started cluster is removed as well.
        let teardown = if keep {
            None
        } else {
            Some(Teardown::spawn(repository, &name)?)
        };
        let started = BenchCluster {
            name,
            description,
            teardown,
        };
        match sampan_cluster::start_for_bench(repository, machine) {
            Ok(()) => Ok(started),
            Err(error) => Err(match started.tear_down() {
                Ok(()) => error,
                Err(ending) => error.context(format!("{ending:#}")),
            }),
        }
    }

    /// Publishes the images of all functions, and returns the variables that name them.
    pub(super) fn prepare(&self, repository: &Repository) -> Result<Vec<Variable>> {
        let BenchImages { functions, file } =
            sampan_cluster::provide_bench_images(repository, &self.name)?;
        let hello = functions.get(HELLO);
        let hello = hello.with_context(|| format!("there is no function {HELLO}"))?;
        Ok(vec![
            variable(DESCRIPTION, &self.description),
            variable(IMAGES, file),
            variable(WASM_IMAGE, &hello.wasm),
            variable(CONTAINER_IMAGE, &hello.scratch),
        ])
    }

    /// Takes the cluster down unless it is kept.
    pub(super) fn tear_down(self) -> Result<()> {
        let Some(Teardown { pipe, mut process }) = self.teardown else {
            let name = &self.name;
            eprintln!(
                "the cluster {name} was kept: cargo xtask cluster --name {name} env, and down"
            );
            return Ok(());
        };
        drop(pipe);
        let status = process
            .wait()
            .context("failed to wait for the cluster's end")?;
        if !status.success() {
            bail!("the cluster {} was not taken down: {status}", self.name);
        }
        Ok(())
    }
}

impl Teardown {
    fn spawn(repository: &Repository, name: &str) -> Result<Teardown> {
        // A build may replace the file of this program while it runs, or have done so already.
        let copy = repository.target().join("xtask").join("down");
        if let Some(folder) = copy.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("failed to make {}", folder.display()))?;
        }
        let unfinished = copy.with_extension("new");
        fs::copy("/proc/self/exe", &unfinished)
            .and_then(|_| fs::rename(&unfinished, &copy))
            .with_context(|| format!("failed to write {}", copy.display()))?;
        let (reader, pipe) = std::io::pipe().context("failed to make a pipe")?;
        let mut command = Command::new("sh");
        command
            .args(["-c", "cat > /dev/null; exec \"$0\" \"$@\""])
            .arg(&copy)
            .args(["cluster", "--name", name, "down"])
            .current_dir(repository.root())
            .env("CARGO_TARGET_DIR", repository.target())
            .stdin(reader)
            // An interrupt from the terminal ends this process, and closes the pipe.
            .process_group(0);
        let process = command.spawn().context("failed to start sh")?;
        Ok(Teardown { pipe, process })
    }
}
