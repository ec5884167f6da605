//! Measures the memory of an idle pod: all of its processes, including its shim and its pause
//! process if it has one.
//!
//! Memory that is shared with others is divided among them. Some pods are started and measured,
//! then more. The growth with each further pod leaves out what all of them share, which a node has
//! only once.

use anyhow::Result;
use sampan_measure::processes;

use super::Bench;
use crate::plan::Unit;
use crate::pods::Pods;
use crate::sample::{Record, Series};
use crate::summary::float;

impl Bench {
    pub(super) async fn density(&mut self, unit: &Unit, count: u32) -> Result<Vec<Record>> {
        let few = (count / 3).max(1);
        let mut pods = self.fleet.empty(&unit.function, unit.kind).await?;
        let before: f64 = self.weigh(unit, &mut pods, few).await?.iter().sum();
        let each = self.weigh(unit, &mut pods, count).await?;
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

    /// Runs this many pods, and returns the memory of each in kibibytes.
    async fn weigh(&mut self, unit: &Unit, pods: &mut Pods, count: u32) -> Result<Vec<f64>> {
        let Unit { function, kind, .. } = unit;
        self.fleet.scale(function, *kind, count).await?;
        let running = pods.running(count as usize).await?;
        for pod in &running {
            self.fleet.until_ok(function, pod).await?;
        }
        let mut memory = Vec::new();
        for pod in &running {
            let mut kibibytes = 0.0;
            for process in processes::of_pod(&self.fleet.namespace, &pod.name).await? {
                kibibytes += process.proportional_kibibytes()?;
            }
            memory.push(kibibytes);
        }
        Ok(memory)
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
