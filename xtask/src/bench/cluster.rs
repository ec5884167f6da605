//! The cluster of a benchmark, with every function in its registry and on its nodes: as a component and as both
//! container images.
//!
//! It is the one that `SAMPAN_CLUSTER` describes, which stays as it was, or else one that is started for the
//! benchmark and ends with it, however that ends: a process waits for our end to take it down.

use std::env;
use std::fs;
use std::io::PipeWriter;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};

use anyhow::{Context as _, Result, bail};

use super::{IMAGES, Variable, variable};
use crate::cluster::{self, DESCRIPTION, Stock};
use crate::machine::Machine;
use crate::repository::Repository;

/// The function that nothing but the call is measured with.
const HELLO: &str = "hello";

const WASM_IMAGE: &str = "SAMPAN_BENCH_WASM_IMAGE";
const CONTAINER_IMAGE: &str = "SAMPAN_BENCH_CONTAINER_IMAGE";

/// A cluster that runs.
#[derive(Debug)]
pub(super) struct BenchCluster {
    name: String,
    description: PathBuf,
    /// Nothing for a cluster that is to stay.
    end: Option<End>,
}

/// Takes the cluster down when the pipe closes, which it does with us.
#[derive(Debug)]
struct End {
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
            let name = cluster::described(&description)?;
            eprintln!("measuring on the cluster {name}, as {DESCRIPTION} says");
            let end = None;
            return Ok(BenchCluster {
                name,
                description,
                end,
            });
        }
        let (name, description) = cluster::of_bench(repository)?;
        // Before anything of it is there, so that half of a cluster goes as well.
        let end = if keep {
            None
        } else {
            Some(End::prepare(repository, &name)?)
        };
        let started = BenchCluster {
            name,
            description,
            end,
        };
        match cluster::start_for_bench(repository, machine) {
            Ok(()) => Ok(started),
            Err(error) => Err(match started.end() {
                Ok(()) => error,
                Err(ending) => error.context(format!("{ending:#}")),
            }),
        }
    }

    /// Puts all functions where pods find them, and tells `sampan-bench` of it.
    pub(super) fn prepare(&self, repository: &Repository) -> Result<Vec<Variable>> {
        let Stock { functions, file } = cluster::stock(repository, &self.name)?;
        let hello = functions.get(HELLO);
        let hello = hello.with_context(|| format!("there is no function {HELLO}"))?;
        Ok(vec![
            variable(DESCRIPTION, &self.description),
            variable(IMAGES, file),
            variable(WASM_IMAGE, &hello.wasm),
            variable(CONTAINER_IMAGE, &hello.scratch),
        ])
    }

    /// Takes it down unless it is to stay.
    pub(super) fn end(self) -> Result<()> {
        let Some(End { pipe, mut process }) = self.end else {
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

impl End {
    fn prepare(repository: &Repository, name: &str) -> Result<End> {
        // A build may take this program away while it runs, and may have done so.
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
            // An interrupt from the terminal is for us, and ends us.
            .process_group(0);
        let process = command.spawn().context("failed to start sh")?;
        Ok(End { pipe, process })
    }
}
