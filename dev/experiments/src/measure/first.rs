//! Measures the first request to a new pod.
//!
//! The old pod is deleted. When the new one runs and the old one is gone, the node gets a moment to
//! settle; then one request is sent.

use std::time::Duration;

use anyhow::{Result, ensure};
use kube::api::DeleteParams;

use super::Bench;
use crate::manifest::Profile;
use crate::plan::Unit;
use crate::pods::{PodState, Pods};
use crate::sample::{Record, Series};

/// The minimum delay of a script that calls `kubectl wait` before its request. Meanwhile the
/// kubelet and containerd finish with the pod, so that only the function is measured.
const SETTLE_TIME: Duration = Duration::from_millis(300);
/// How long a running pod may take to listen.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(30);

impl Bench {
    pub(super) async fn first(&mut self, unit: &Unit, rounds: u32) -> Result<Vec<Record>> {
        let Unit { function, kind, .. } = unit;
        let (mut pods, mut pod) = self.fleet.one(function, *kind, Profile::Memory).await?;
        let mut times = Vec::new();
        for _ in 0..rounds {
            pod = self.replace(&mut pods, &pod).await?;
            tokio::time::sleep(SETTLE_TIME).await;
            let target = self.fleet.target(function, &pod)?;
            let netns_thread = &self.fleet.netns_thread;
            let time = netns_thread
                .run(move || Ok(target.first(LISTEN_TIMEOUT)?))
                .await?;
            ensure!(
                time.is_some(),
                "the first answer of {} is not 200",
                pod.name
            );
            times.extend(time);
        }
        Ok(vec![Record::new(unit, Series::Response, times)])
    }

    /// Deletes a pod, and waits until another one runs in its place and it is gone itself.
    pub(super) async fn replace(&self, pods: &mut Pods, old: &PodState) -> Result<PodState> {
        let api = self.fleet.namespace.pods();
        api.delete(&old.name, &DeleteParams::default()).await?;
        pods.until("another one runs in its place", |seen| {
            let mut new = seen.values();
            let new = new.find(|pod| pod.name != old.name && pod.is_running());
            (seen.len() == 1).then(|| new.cloned()).flatten()
        })
        .await
    }
}
