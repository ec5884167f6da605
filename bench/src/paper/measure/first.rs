//! The first request to a new pod: delete the old one, wait until the new one runs and the old one is gone, let
//! the node come to rest, send one request.

use std::time::Duration;

use anyhow::{Result, ensure};
use kube::api::DeleteParams;

use super::Bench;
use crate::paper::manifest::Profile;
use crate::paper::plan::Unit;
use crate::paper::pods::{Pods, Seen};
use crate::paper::sample::{Record, Series};

/// What a script that calls `kubectl wait` takes at least before it sends its request: meanwhile the
/// kubelet and containerd finish with the pod, and it is the function that is measured.
const REST: Duration = Duration::from_millis(300);
/// How long a pod that runs may not listen.
const PATIENCE: Duration = Duration::from_secs(30);

impl Bench {
    pub(super) async fn first(&mut self, unit: &Unit, rounds: u32) -> Result<Vec<Record>> {
        let Unit { function, kind, .. } = unit;
        let (mut pods, mut pod) = self.fleet.one(function, *kind, Profile::Memory).await?;
        let mut times = Vec::new();
        for _ in 0..rounds {
            pod = self.replace(&mut pods, &pod).await?;
            tokio::time::sleep(REST).await;
            let target = self.fleet.target(function, &pod)?;
            let inside = &self.fleet.inside;
            let time = inside.run(move || Ok(target.first(PATIENCE)?)).await?;
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
    pub(super) async fn replace(&self, pods: &mut Pods, old: &Seen) -> Result<Seen> {
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
