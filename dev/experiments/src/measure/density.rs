//! Measures the memory of an idle pod: all of its processes, including its shim and its pause
//! process if it has one. The memory of an idle pooled function is its share of the pool's pod.
//!
//! Memory that is shared with others is divided among them. Some replicas are started and measured,
//! then more. The growth with each further one leaves out what all of them share, which a node has
//! only once.

use anyhow::Result;
use sampan_measure::processes;

use super::Bench;
use crate::kind::Place;
use crate::plan::Unit;
use crate::replicas::Replicas;
use crate::sample::{Record, Series};
use crate::summary::float;

impl Bench {
    pub(super) async fn density(&mut self, unit: &Unit, count: u32) -> Result<Vec<Record>> {
        let few = (count / 3).max(1);
        let mut replicas = self.fleet.empty(&unit.function, unit.kind).await?;
        let before: f64 = self.weigh(unit, &mut replicas, few).await?.iter().sum();
        let each = self.weigh(unit, &mut replicas, count).await?;
        self.fleet.clear().await?;
        let further = (each.iter().sum::<f64>() - before) / f64::from(count - few);
        Ok(vec![
            Record::new(
                unit,
                Series::PodMemory,
                each.into_iter().map(rounded).collect(),
            ),
            Record::new(unit, Series::FurtherPodMemory, vec![rounded(further)]),
        ])
    }

    /// Runs this many replicas, and returns the memory of each in kibibytes.
    async fn weigh(
        &mut self,
        unit: &Unit,
        replicas: &mut Replicas,
        count: u32,
    ) -> Result<Vec<f64>> {
        let Unit { function, kind, .. } = unit;
        self.fleet.grow(function, *kind, count).await?;
        let running = replicas.running(count as usize).await?;
        for replica in &running {
            self.fleet.until_ok(function, replica).await?;
        }
        match kind.place() {
            Place::Pods => {
                let mut memory = Vec::new();
                for pod in &running {
                    let namespace = &self.fleet.namespace;
                    memory.push(processes::kibibytes_of_pod(namespace, &pod.name).await?);
                }
                Ok(memory)
            }
            Place::Pool => {
                let share = self.fleet.pool.kibibytes().await? / f64::from(count);
                Ok(vec![share; count as usize])
            }
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the kibibytes of a pod"
)]
fn rounded(kibibytes: f64) -> u64 {
    kibibytes.clamp(0.0, float(1 << 52)).round() as u64
}
