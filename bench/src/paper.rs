//! `paper`: the published experiments and four more, functions as components against the same ones in containers,
//! on one node of a real cluster, in turns.
//!
//! A [plan](plan) of units of work is carried out one by one; what each gives is [kept](store) at once, so that a run
//! goes on where it was cut. The [report](report) is made of what was kept alone.

mod check_load;
mod control_group;
mod experiment;
mod facts;
mod fleet;
mod images;
mod kind;
mod load;
mod manifest;
mod measure;
mod plan;
mod pods;
mod progress;
mod registry;
mod report;
mod sample;
mod scale;
mod store;
mod summary;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::arguments::Paper;
use crate::cluster::Cluster;
use crate::inside::Inside;
use crate::namespace::Namespace;
pub(crate) use experiment::Experiment;
use fleet::Fleet;
use images::Images;
use kind::Kind;
use measure::Bench;
use plan::{Choice, Planned};
use progress::Progress;
pub(crate) use scale::Scale;
use store::Store;

/// Where results go below, unless somewhere else is named.
const RESULTS: &str = "bench/results";

/// Carries out what was asked for, and writes the report.
pub(crate) async fn run(asked: &Paper) -> Result<ExitCode> {
    let cluster = Cluster::find()?;
    let client = cluster.client().await?;
    let images = Images::read(&asked.images, &asked.functions)?;
    let header = facts::gather(&cluster, client.clone(), asked.scale).await?;
    let folder = match &asked.out {
        Some(folder) => folder.clone(),
        None => PathBuf::from(RESULTS).join(facts::folder_name(&header)),
    };
    let store = Store::open(&folder, &header, asked.resume)?;
    let planned = if asked.check_load {
        Vec::new()
    } else {
        planned(asked, &images)
    };
    let inside = Inside::enter(&cluster.node()?.netns)?;
    // From now on a signal ends the run in order.
    let mut stop = Stop::listen()?;
    let namespace = Namespace::create(client.clone(), "bench-paper").await?;
    let name = namespace.name().to_owned();
    eprintln!("samples: {}; namespace: {name}", folder.display());
    let node = cluster.node()?.name.clone();
    let bench = Bench {
        fleet: Fleet::new(namespace, inside, images, node),
        cluster,
    };
    let measured = tokio::select! {
        measured = all(bench, &planned, &store, asked.scale) => measured,
        () = stop.asked() => Err(anyhow::anyhow!(
            "stopped; what was measured is kept, and --resume goes on with it"
        )),
    };
    // However that ended, nothing stays; and what went wrong first is told first.
    let removed = Namespace::existing(client, &name).remove().await;
    measured?;
    removed.with_context(|| format!("the namespace {name} is left"))?;
    let samples = store.finish()?;
    eprintln!("samples: {}", samples.display());
    report(&folder)
}

/// Writes the report of a folder of samples.
pub(crate) fn report(folder: &Path) -> Result<ExitCode> {
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
    let mut kinds = vec![Kind::Wasm, Kind::Scratch];
    if asked.distro {
        kinds.push(Kind::Distro);
    }
    plan::plan(&Choice {
        experiments: &experiments,
        functions: &functions,
        kinds: &kinds,
        scale: asked.scale,
    })
}

async fn all(mut bench: Bench, planned: &[Planned], store: &Store, scale: Scale) -> Result<()> {
    if !store.has_check() {
        eprintln!("the load generator beside hey");
        let check = check_load::compare(&mut bench, scale).await?;
        eprintln!("  {}", check_load::Verdict::of(&check));
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

/// Signals that ask to end.
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

    /// Waits for one.
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
