//! Measures rising loads on one replica with a limited processor until it fails: answers a second and
//! their times.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Bench, Open, open};
use crate::manifest::Profile;
use crate::plan::Unit;
use crate::sample::{Load, Record, Series};

/// The count of kept connections.
const CLIENTS: u32 = 32;
/// Requests a second of the first load.
const FIRST_RATE: f64 = 32.0;
/// The ratio of each load to the previous one.
const RATE_FACTOR: f64 = std::f64::consts::SQRT_2;
/// The fraction of answered requests below which a load is too much.
const MIN_ANSWERED: f64 = 0.85;

impl Bench {
    pub(super) async fn saturation(
        &mut self,
        unit: &Unit,
        seconds: f64,
        steps: u32,
    ) -> Result<Vec<Record>> {
        let Unit { function, kind, .. } = unit;
        let (_, replica) = self.fleet.one(function, *kind, Profile::Processor).await?;
        let target = self.fleet.target(function, &replica)?;
        let mut records = Vec::new();
        let mut offered = FIRST_RATE;
        for _ in 0..steps {
            let load = Open {
                clients: CLIENTS,
                rate: offered,
                duration: Duration::from_secs_f64(seconds),
                keeps_alive: true,
            };
            let target = target.clone();
            let netns_thread = &self.fleet.netns_thread;
            let outcome = netns_thread.run(move || Ok(open(&target, &load)?)).await?;
            ensure!(
                !outcome.times.is_empty(),
                "no request was answered in {}: {:?}",
                unit.name(),
                outcome.failure
            );
            let achieved = outcome.rate();
            records.push(Record {
                failed: outcome.failed,
                load: Some(Load { offered, achieved }),
                ..Record::new(unit, Series::Response, outcome.times)
            });
            if achieved < offered * MIN_ANSWERED {
                break;
            }
            offered *= RATE_FACTOR;
        }
        Ok(records)
    }
}
