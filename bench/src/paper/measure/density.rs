//! What an idle pod takes: all its processes, with its shim and its pause process if it has one; what they
//! share with others is divided among those. Many are up at once, since only then is shared what a full
//! node shares.

use anyhow::Result;

use super::Bench;
use crate::paper::plan::Unit;
use crate::paper::sample::{Record, Series};
use crate::paper::summary::float;
use crate::processes;

impl Bench {
    pub(super) async fn density(&mut self, unit: &Unit, count: u32) -> Result<Vec<Record>> {
        let Unit { function, kind, .. } = unit;
        let mut pods = self.fleet.empty(function, *kind).await?;
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
            memory.push(rounded(kibibytes));
        }
        self.fleet.clear().await?;
        Ok(vec![Record::new(unit, Series::PodMemory, memory)])
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
