//! `pods`: compares functions in pods with containers in pods, on one node of a real cluster, in
//! turns.

mod burst;
mod contender;
mod memory;
mod network_time;
mod pod;
mod starts;
mod throughput;

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum as _;
use sampan_measure::cluster::Cluster;
use sampan_measure::namespace::Namespace;
use sampan_measure::netns_thread::NetnsThread;

use crate::arguments::{PodMeasure, Pods};
use crate::report::{Row, publish};
pub(crate) use contender::{Contender, PORT};
pub(crate) use pod::Pod;

/// The context of all measurements.
struct Bench<'a> {
    asked: &'a Pods,
    cluster: Cluster,
    namespace: Namespace,
    netns_thread: NetnsThread,
}

/// Runs the requested measurements.
pub(crate) async fn run(asked: &Pods) -> Result<ExitCode> {
    let cluster = Cluster::find()?;
    let netns_thread = NetnsThread::enter(&cluster.node()?.netns)?;
    let namespace = Namespace::create(cluster.client().await?, "bench-pods").await?;
    let bench = Bench {
        asked,
        cluster,
        namespace,
        netns_thread,
    };
    let mut rows = Vec::new();
    let measured = bench.all(&mut rows).await;
    // No pod stays and no sample is lost, however the measurements end; the first error is the one
    // to report.
    let removed = bench.namespace.remove().await;
    publish(rows, &asked.json)?;
    measured.and(removed).map(|()| ExitCode::SUCCESS)
}

impl Bench<'_> {
    async fn all(&self, rows: &mut Vec<Row>) -> Result<()> {
        for measure in PodMeasure::value_variants() {
            if !self.asked.measures.is_empty() && !self.asked.measures.contains(measure) {
                continue;
            }
            eprintln!("==> {measure:?}");
            rows.extend(match measure {
                PodMeasure::Starts => starts::measure(self).await?,
                PodMeasure::Memory => memory::measure(self).await?,
                PodMeasure::Burst => burst::measure(self).await?,
                PodMeasure::Throughput => throughput::measure(self).await?,
            });
        }
        Ok(())
    }
}
