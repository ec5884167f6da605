//! A Deployment with at most one pod, which runc runs, and a watch of that pod.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use anyhow::{Context as _, Result};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event, watcher};
use sampan_measure::namespace::{Namespace, POD_TIMEOUT};
use serde_json::json;

use crate::pods::PORT;

/// The label of the pods.
const LABEL: &str = "sampan-bench";

/// A Deployment, and the state of its pod.
pub(super) struct RuncDeployment {
    deployments: Api<Deployment>,
    name: String,
    image: String,
    events: Pin<Box<dyn Stream<Item = watcher::Result<Event<Pod>>>>>,
}

impl RuncDeployment {
    /// Starts the watch of its pods, before it exists.
    pub(super) async fn new(namespace: &Namespace, name: &str, image: &str) -> Result<Self> {
        let config = watcher::Config::default().labels(&format!("{LABEL}={name}"));
        let mut deployment = Self {
            deployments: Api::namespaced(namespace.client(), namespace.name()),
            name: name.to_owned(),
            image: image.to_owned(),
            events: Box::pin(watcher(namespace.pods(), config)),
        };
        let is_listed = |event: &Event<Pod>| matches!(event, Event::InitDone).then_some(());
        deployment.until("are listed", is_listed).await?;
        Ok(deployment)
    }

    /// Creates it with one pod. It has no probes and no token, as other pods of the benchmarks.
    pub(super) async fn create(&self) -> Result<()> {
        let labels = json!({ LABEL: self.name });
        let deployment = serde_json::from_value(json!({
            "metadata": { "name": self.name },
            "spec": {
                "replicas": 1,
                "selector": { "matchLabels": labels },
                "template": {
                    "metadata": { "labels": labels },
                    "spec": {
                        "automountServiceAccountToken": false,
                        "enableServiceLinks": false,
                        "terminationGracePeriodSeconds": 1,
                        "containers": [{
                            "name": "hello",
                            "image": self.image,
                            "imagePullPolicy": "IfNotPresent",
                            "ports": [{ "containerPort": PORT }],
                        }],
                    },
                },
            },
        }))?;
        self.deployments
            .create(&PostParams::default(), &deployment)
            .await
            .with_context(|| format!("failed to create {}", self.name))
            .map(drop)
    }

    /// Changes the count of its pods.
    pub(super) async fn scale(&self, replicas: u32) -> Result<()> {
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        self.deployments
            .patch(&self.name, &PatchParams::default(), &patch)
            .await
            .with_context(|| format!("failed to scale {}", self.name))
            .map(drop)
    }

    /// The address of its pod, once its container runs.
    pub(super) async fn running(&mut self) -> Result<SocketAddr> {
        let address = self.until("run", address_of).await?;
        Ok(SocketAddr::new(address, PORT))
    }

    /// Waits until its pod is gone.
    pub(super) async fn gone(&mut self) -> Result<()> {
        let is_gone = |event: &Event<Pod>| matches!(event, Event::Delete(_)).then_some(());
        self.until("are gone", is_gone).await
    }

    /// Removes it, and waits until its pod is gone.
    pub(super) async fn delete(mut self) -> Result<()> {
        let background = DeleteParams::background();
        self.deployments.delete(&self.name, &background).await?;
        self.gone().await
    }

    /// Waits for an event that meets a condition.
    async fn until<T>(
        &mut self,
        what: &str,
        condition: impl Fn(&Event<Pod>) -> Option<T>,
    ) -> Result<T> {
        let reached = async {
            loop {
                let event = self.events.next().await.context("the watch has ended")??;
                if let Some(found) = condition(&event) {
                    return anyhow::Ok(found);
                }
            }
        };
        let reached = tokio::time::timeout(POD_TIMEOUT, reached).await;
        reached.with_context(|| format!("the pods of {} do not {what} in time", self.name))?
    }
}

/// The address of a pod whose container runs.
fn address_of(event: &Event<Pod>) -> Option<IpAddr> {
    let (Event::Apply(pod) | Event::InitApply(pod)) = event else {
        return None;
    };
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let status = pod.status.as_ref()?;
    let mut containers = status.container_statuses.iter().flatten();
    let runs = containers.any(|container| {
        let state = container.state.as_ref();
        state.is_some_and(|state| state.running.is_some())
    });
    let address = status.pod_ip.as_ref().filter(|_| runs)?;
    address.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_pod_has_an_address_once_it_runs_and_until_it_is_deleted() {
        fn check(status: &Value, deleted: bool, expected: Option<&str>) {
            let mut pod = json!({ "metadata": { "name": "p" }, "status": status });
            if deleted {
                pod["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
            }
            let event = Event::Apply(serde_json::from_value(pod).unwrap());
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(address_of(&event), expected, "{status} {deleted}");
        }
        let with = |state: Value| {
            json!({ "podIP": "10.0.0.1", "containerStatuses": [{
                "name": "c", "image": "i", "imageID": "i", "ready": true, "restartCount": 0,
                "state": state }]})
        };
        check(&json!({ "podIP": "10.0.0.1" }), false, None);
        check(&with(json!({ "waiting": {} })), false, None);
        check(&with(json!({ "running": {} })), false, Some("10.0.0.1"));
        check(&with(json!({ "running": {} })), true, None);
    }
}
