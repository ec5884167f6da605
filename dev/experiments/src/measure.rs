//! The experiments: each carries out a unit of work and returns its samples.

mod burst;
mod density;
mod first;
mod instantiation;
mod resources;
mod saturation;

use std::time::Duration;

use anyhow::{Result, ensure};
use sampan_measure::cluster::Cluster;

use super::experiment::Experiment;
use super::fleet::Fleet;
use super::load::{End, Open, Outcome, open, serial};
use super::manifest::Profile;
use super::plan::{Amount, Planned, Unit};
use super::registry;
use super::sample::{Record, Series};

/// The count of clients of the concurrent experiment.
const CLIENTS: u32 = 5;
/// Requests a second of each of them.
const RATE: f64 = 5.0;
/// The count of warm-up requests before a load, which are not measured.
const WARM_UP_REQUESTS: u32 = 20;

/// The cluster and the replicas of the experiments.
pub(super) struct Bench {
    pub(super) cluster: Cluster,
    pub(super) fleet: Fleet,
}

impl Bench {
    /// Carries out a unit of work.
    pub(super) async fn measure(&mut self, planned: &Planned) -> Result<Vec<Record>> {
        let unit = &planned.unit;
        match (unit.experiment, planned.amount) {
            (Experiment::Serial, Amount::Seconds(seconds)) => self.serial(unit, seconds).await,
            (Experiment::Concurrent, Amount::Seconds(seconds)) => {
                self.concurrent(unit, seconds).await
            }
            (Experiment::First, Amount::Rounds(rounds)) => self.first(unit, rounds).await,
            (Experiment::Instantiation, Amount::Rounds(rounds)) => {
                self.instantiation(unit, rounds).await
            }
            (Experiment::Size, _) => self.size(unit).await,
            (Experiment::Resources, Amount::Requests(requests)) => {
                self.resources(unit, requests).await
            }
            (Experiment::Density, Amount::Replicas(count)) => self.density(unit, count).await,
            (Experiment::Burst, Amount::Replicas(count)) => self.burst(unit, count).await,
            (Experiment::Saturation, Amount::Steps(seconds, steps)) => {
                self.saturation(unit, seconds, steps).await
            }
            (experiment, amount) => anyhow::bail!("{experiment} cannot do {amount:?}"),
        }
    }

    async fn serial(&mut self, unit: &Unit, seconds: f64) -> Result<Vec<Record>> {
        let end = End::After(Duration::from_secs_f64(seconds));
        let outcome = self.run_serial(unit, end).await?;
        Ok(vec![responses(unit, outcome)?])
    }

    /// Runs a serial load on a function's only replica, after a warm-up.
    pub(super) async fn run_serial(&mut self, unit: &Unit, end: End) -> Result<Outcome> {
        let Unit { function, kind, .. } = unit;
        let (_, replica) = self.fleet.one(function, *kind, Profile::Memory).await?;
        let target = self.fleet.target(function, &replica)?;
        self.fleet
            .netns_thread
            .run(move || {
                serial(&target, End::Requests(WARM_UP_REQUESTS));
                Ok(serial(&target, end))
            })
            .await
    }

    async fn concurrent(&mut self, unit: &Unit, seconds: f64) -> Result<Vec<Record>> {
        let Unit { function, kind, .. } = unit;
        let (_, replica) = self.fleet.one(function, *kind, Profile::Memory).await?;
        let target = self.fleet.target(function, &replica)?;
        let load = Open {
            clients: CLIENTS,
            rate: RATE * f64::from(CLIENTS),
            duration: Duration::from_secs_f64(seconds),
            keeps_alive: false,
        };
        let outcome = self
            .fleet
            .netns_thread
            .run(move || Ok(open(&target, &load)?))
            .await?;
        Ok(vec![responses(unit, outcome)?])
    }

    async fn size(&mut self, unit: &Unit) -> Result<Vec<Record>> {
        let image = self.fleet.images.function(&unit.function)?.image(unit.kind);
        let size = registry::size(&self.cluster.registry, image).await?;
        Ok(vec![
            Record::new(unit, Series::Fetched, vec![size.fetched]),
            Record::new(unit, Series::Stored, vec![size.stored]),
        ])
    }
}

/// A record of response times. The report shows a few failures; with more than one in a hundred,
/// the figures would not be the function's.
fn responses(unit: &Unit, outcome: Outcome) -> Result<Record> {
    let all = outcome.times.len() as u64 + outcome.failed;
    ensure!(
        outcome.failed * 100 <= all && all > 0,
        "{} of {all} requests failed in {}: {}",
        outcome.failed,
        unit.name(),
        outcome.failure.unwrap_or_default()
    );
    Ok(Record {
        failed: outcome.failed,
        ..Record::new(unit, Series::Response, outcome.times)
    })
}
