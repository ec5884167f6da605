//! `paper`: runs the published experiments and four more. docs/experiments.md is the manual.
//!
//! Functions as components are compared with the same ones in containers, on one node of a real
//! cluster, in turns. A [plan](plan) of units of work is carried out one by one. The samples of
//! each are [kept](store) at once, so that an interrupted run can be resumed. The [report](report)
//! is made from the samples alone.
//!
//! # Behaviours
//!
//! Files are relative to `src`, with their tests.
//!
//! - The order of the units, and the kept samples: `plan.rs` and `store.rs`; also `cluster_experiments` of the cluster
//!   tests.
//! - The kinds, where each is measured, and the objects of each: `kind.rs` and `manifest.rs`; `pool.rs` has the pool.
//! - The load, and its comparison with `hey`: `load.rs` and `check_load.rs`.
//! - The report: `report.rs` and `summary.rs`; also `tests/report_page.rs` of `sampan-bench`.

mod arguments;
mod check_load;
mod control_group;
mod experiment;
mod fleet;
mod header;
mod images;
mod kind;
mod load;
mod manifest;
mod measure;
mod plan;
mod pool;
mod progress;
mod registry;
mod replicas;
mod report;
mod sample;
mod scale;
mod store;
mod summary;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use sampan_measure::cluster::Cluster;
use sampan_measure::namespace::Namespace;
use sampan_measure::netns_thread::NetnsThread;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use arguments::{Paper, ReportOf};
use experiment::Experiment;
use fleet::Fleet;
use images::Images;
use measure::Bench;
use plan::{Choice, Planned};
use progress::Progress;
use scale::Scale;
use store::Store;

/// The default folder of results.
const RESULTS: &str = "dev/experiments/results";

/// Carries out the requested units of work, and writes the report.
pub async fn run(asked: &Paper) -> Result<ExitCode> {
    let cluster = Cluster::find()?;
    let client = cluster.client().await?;
    let images = Images::read(&asked.images, &asked.functions)?;
    let header = header::gather(&cluster, client.clone(), asked.scale).await?;
    let folder = match &asked.out {
        Some(folder) => folder.clone(),
        None => PathBuf::from(RESULTS).join(header::folder_name(&header)),
    };
    let store = Store::open(&folder, &header, asked.resume)?;
    let planned = if asked.check_load {
        Vec::new()
    } else {
        planned(asked, &images)
    };
    let netns_thread = NetnsThread::enter(&cluster.node()?.netns)?;
    // From now on a signal ends the run in order.
    let mut stop = Stop::listen()?;
    let namespace = Namespace::create(client.clone(), "bench-paper").await?;
    let name = namespace.name().to_owned();
    eprintln!("samples: {}; namespace: {name}", folder.display());
    let bench = Bench {
        fleet: Fleet::new(namespace, netns_thread, images, &cluster)?,
        cluster,
    };
    let measured = tokio::select! {
        measured = all(bench, &planned, &store, asked.scale) => measured,
        () = stop.asked() => Err(anyhow::anyhow!(
            "stopped; finished units are kept, and --resume continues"
        )),
    };
    // The namespace is removed however the run ended; the first error is the one to report.
    let removed = Namespace::existing(client, &name).remove().await;
    measured?;
    removed.with_context(|| format!("failed to remove the namespace {name}"))?;
    let samples = store.finish()?;
    eprintln!("samples: {}", samples.display());
    write_report(&folder)
}

/// Writes the report of a folder of samples again.
pub fn report(asked: &ReportOf) -> Result<ExitCode> {
    write_report(&asked.folder)
}

fn write_report(folder: &Path) -> Result<ExitCode> {
    let run = store::read(folder)?;
    for path in report::write(&run, folder)? {
        println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn planned(asked: &Paper, images: &Images) -> Vec<Planned> {
    let mut experiments = asked.experiments.clone();
    experiments.sort_unstable();
    experiments.dedup();
    if experiments.is_empty() {
        experiments = Experiment::ALL.to_vec();
    }
    let functions: Vec<String> = images.functions.keys().cloned().collect();
    plan::plan(&Choice {
        experiments: &experiments,
        functions: &functions,
        kinds: &asked.more.kinds(),
        scale: asked.scale,
    })
}

async fn all(mut bench: Bench, planned: &[Planned], store: &Store, scale: Scale) -> Result<()> {
    if !store.has_check() {
        eprintln!("the load generator beside hey");
        let check = check_load::compare(&mut bench, scale).await?;
        eprintln!("  {}", check_load::Agreement::of(&check));
        store.write_check(check)?;
    }
    let left = planned.iter().filter(|planned| !store.has(&planned.unit));
    let mut progress = Progress::new(planned.len(), left.clone().map(Planned::seconds));
    for planned in left {
        progress.begin(&planned.unit);
        let records = bench
            .measure(planned)
            .await
            .with_context(|| format!("failed in {}", planned.unit.name()))?;
        store.write(&planned.unit, records)?;
        progress.end(planned.seconds());
    }
    Ok(())
}

/// The signals that end the run.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for a signal.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
