//! Measures the processor time of a request and the peak memory of a pod, by its container's
//! control group.

use anyhow::{Result, ensure};
use sampan_measure::processes;

use super::{Bench, End};
use crate::control_group::ControlGroup;
use crate::manifest::Profile;
use crate::plan::Unit;
use crate::sample::{Record, Series};

impl Bench {
    pub(super) async fn resources(&mut self, unit: &Unit, requests: u32) -> Result<Vec<Record>> {
        let Unit { function, kind, .. } = unit;
        let (_, pod) = self.fleet.one(function, *kind, Profile::Memory).await?;
        let pid = processes::main_of(&self.fleet.namespace, &pod.name).await?;
        let group = ControlGroup::of(pid)?;
        let idle = group.memory()?;
        // The warm-up requests come first, so that none of them is counted.
        self.run_serial(unit, End::Requests(0)).await?;
        let target = self.fleet.target(function, &pod)?;
        let before = group.processor_nanoseconds()?;
        let outcome = self
            .fleet
            .netns_thread
            .run(move || Ok(super::serial(&target, End::Requests(requests))))
            .await?;
        let spent = group.processor_nanoseconds()?.saturating_sub(before);
        ensure!(
            outcome.failed == 0,
            "{} requests failed in {}: {:?}",
            outcome.failed,
            unit.name(),
            outcome.failure
        );
        Ok(vec![
            Record::new(unit, Series::Processor, vec![spent / u64::from(requests)]),
            Record::new(unit, Series::IdleMemory, vec![idle]),
            Record::new(unit, Series::PeakMemory, vec![group.peak()?]),
        ])
    }
}
