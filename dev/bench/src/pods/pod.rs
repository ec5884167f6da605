//! Starts pods of a benchmark in its namespace, and waits for them.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::ResourceExt as _;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use sampan_measure::namespace::{Namespace, POD_TIMEOUT};

use super::contender::{Contender, PORT};
use crate::arguments::Images;

/// A running pod.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// The time at which a watch reported that it was scheduled.
    pub(crate) scheduled: Instant,
}

impl Pod {
    /// Starts a pod and waits until its container runs.
    pub(crate) async fn run(
        namespace: &Namespace,
        contender: Contender,
        name: &str,
        images: &Images,
    ) -> Result<Pod> {
        let mut started = Self::run_all(namespace, contender, &[name.to_owned()], images).await?;
        started.pop().context("one pod was started")
    }

    /// Starts pods at once and waits until all run.
    pub(crate) async fn run_all(
        namespace: &Namespace,
        contender: Contender,
        names: &[String],
        images: &Images,
    ) -> Result<Vec<Pod>> {
        let watched = watcher(namespace.pods(), watcher::Config::default()).applied_objects();
        let mut events = Box::pin(watched);
        let create = async {
            for name in names {
                let pod = contender.pod(name, images);
                namespace
                    .pods()
                    .create(&PostParams::default(), &pod)
                    .await?;
            }
            anyhow::Ok(())
        };
        let watch = async {
            let mut scheduled = std::collections::HashMap::new();
            let mut running: Vec<Pod> = Vec::new();
            while running.len() < names.len() {
                let pod = events.next().await.context("the watch has ended")??;
                let name = pod.name_any();
                if !names.contains(&name) || running.iter().any(|known| known.name == name) {
                    continue;
                }
                let is_given = pod
                    .spec
                    .as_ref()
                    .is_some_and(|spec| spec.node_name.is_some());
                if is_given {
                    scheduled.entry(name.clone()).or_insert_with(Instant::now);
                }
                if let Some(address) = runs(&pod)? {
                    let scheduled = scheduled.get(&name).copied().unwrap_or_else(Instant::now);
                    running.push(Pod {
                        name,
                        address: SocketAddr::new(address, PORT),
                        scheduled,
                    });
                }
            }
            anyhow::Ok(running)
        };
        let both = async { tokio::try_join!(create, watch) };
        let ((), running) = tokio::time::timeout(POD_TIMEOUT, both)
            .await
            .context("the pods do not run in time")??;
        Ok(running)
    }
}

/// The address of a pod once its container runs.
fn runs(pod: &PodObject) -> Result<Option<IpAddr>> {
    let Some(status) = &pod.status else {
        return Ok(None);
    };
    if status.phase.as_deref() == Some("Failed") {
        bail!(
            "the pod {} has failed: {:?}",
            pod.name_any(),
            status.container_statuses
        );
    }
    let mut containers = status.container_statuses.iter().flatten();
    let is_running = containers.any(|container| {
        container
            .state
            .as_ref()
            .is_some_and(|state| state.running.is_some())
    });
    match &status.pod_ip {
        Some(address) if is_running => Ok(Some(address.parse()?)),
        _ => Ok(None),
    }
}
