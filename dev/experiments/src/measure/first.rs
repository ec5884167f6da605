//! Measures the first request to a new replica.
//!
//! The old one is deleted. When the new one runs and the old one is gone, the node gets a moment to
//! settle; then one request is sent.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Bench;
use crate::manifest::Profile;
use crate::plan::Unit;
use crate::replicas::{Replica, Replicas};
use crate::sample::{Record, Series};

/// The minimum delay of a script that calls `kubectl wait` before its request. Meanwhile the
/// kubelet and containerd finish with the pod, so that only the function is measured.
const SETTLE_TIME: Duration = Duration::from_millis(300);
/// How long a running replica may take to listen.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(30);

impl Bench {
    pub(super) async fn first(&mut self, unit: &Unit, rounds: u32) -> Result<Vec<Record>> {
        let Unit { function, kind, .. } = unit;
        let (mut replicas, mut replica) = self.fleet.one(function, *kind, Profile::Memory).await?;
        let mut times = Vec::new();
        for _ in 0..rounds {
            replica = self.replace(unit, &mut replicas, &replica).await?;
            tokio::time::sleep(SETTLE_TIME).await;
            let target = self.fleet.target(function, &replica)?;
            let netns_thread = &self.fleet.netns_thread;
            let time = netns_thread
                .run(move || Ok(target.first(LISTEN_TIMEOUT)?))
                .await?;
            ensure!(
                time.is_some(),
                "the first answer of {} is not 200",
                replica.name
            );
            times.extend(time);
        }
        Ok(vec![Record::new(unit, Series::Response, times)])
    }

    /// Deletes a replica, and waits until another one runs in its place and it is gone itself.
    async fn replace(
        &self,
        unit: &Unit,
        replicas: &mut Replicas,
        old: &Replica,
    ) -> Result<Replica> {
        let Unit { function, kind, .. } = unit;
        self.fleet.renew(function, *kind, &old.name).await?;
        replicas
            .until("another one runs in its place", |seen| {
                let mut new = seen.values();
                let new = new.find(|replica| replica.name != old.name && replica.is_running());
                (seen.len() == 1).then(|| new.cloned()).flatten()
            })
            .await
    }
}
