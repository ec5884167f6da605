//! Watches the pods of a Deployment, with the time at which each was first reported.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use sampan_measure::namespace::Namespace;

use super::load::Target;
use super::manifest::{LABEL, PORT};

/// How long pods may take to meet a condition; many at once take long.
const CONDITION_TIMEOUT: Duration = Duration::from_mins(5);
/// The count of restarts after which a container is given up.
const MAX_RESTARTS: i32 = 3;

/// An existing pod.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PodState {
    pub(super) name: String,
    /// The time at which the watch first reported it.
    pub(super) created: Instant,
    /// Its address, once its container runs.
    pub(super) address: Option<IpAddr>,
    /// Whether it is being deleted.
    pub(super) is_terminating: bool,
}

impl PodState {
    /// Whether it accepts requests.
    pub(super) fn is_running(&self) -> bool {
        self.address.is_some() && !self.is_terminating
    }

    /// The target of requests to it.
    pub(super) fn target(&self, path: &str) -> Result<Target> {
        let address = self.address;
        let address = address.with_context(|| format!("{} has no address", self.name))?;
        Ok(Target {
            address: SocketAddr::new(address, PORT),
            path: path.to_owned(),
        })
    }
}

/// A watch of the pods of one Deployment.
pub(super) struct Pods {
    events: Pin<Box<dyn Stream<Item = watcher::Result<Event<Pod>>>>>,
    seen: BTreeMap<String, PodState>,
    deployment: String,
}

impl Pods {
    /// Starts the watch, and reads the existing pods.
    pub(super) async fn watch(namespace: &Namespace, deployment: &str) -> Result<Self> {
        let config = watcher::Config::default().labels(&format!("{LABEL}={deployment}"));
        let mut pods = Self {
            events: Box::pin(watcher(namespace.pods(), config)),
            seen: BTreeMap::new(),
            deployment: deployment.to_owned(),
        };
        while !pods.next().await? {}
        Ok(pods)
    }

    /// Waits until the pods meet a condition.
    pub(super) async fn until<T>(
        &mut self,
        what: &str,
        condition: impl Fn(&BTreeMap<String, PodState>) -> Option<T>,
    ) -> Result<T> {
        let reached = async {
            loop {
                if let Some(found) = condition(&self.seen) {
                    return anyhow::Ok(found);
                }
                self.next().await?;
            }
        };
        let reached = tokio::time::timeout(CONDITION_TIMEOUT, reached).await;
        reached.with_context(|| {
            format!(
                "the pods of {} do not meet this within {CONDITION_TIMEOUT:?}: {what}; there are {:?}",
                self.deployment,
                self.seen.values().collect::<Vec<_>>()
            )
        })?
    }

    /// Waits until there are exactly this many pods and all run.
    pub(super) async fn running(&mut self, count: usize) -> Result<Vec<PodState>> {
        self.until(&format!("{count} run"), |seen| {
            let all_run = seen.values().all(PodState::is_running);
            (all_run && seen.len() == count).then(|| seen.values().cloned().collect())
        })
        .await
    }

    /// Handles the next event of the watch; whether that ended the list of existing pods.
    async fn next(&mut self) -> Result<bool> {
        match self.events.next().await.context("the watch has ended")?? {
            Event::Apply(pod) | Event::InitApply(pod) => self.take(&pod)?,
            Event::Delete(pod) => {
                self.seen.remove(&pod.name_any());
            }
            Event::Init => self.seen.clear(),
            Event::InitDone => return Ok(true),
        }
        Ok(false)
    }

    fn take(&mut self, pod: &Pod) -> Result<()> {
        let name = pod.name_any();
        let status = pod.status.clone().unwrap_or_default();
        let containers = status.container_statuses.unwrap_or_default();
        if let Some(container) = containers
            .iter()
            .find(|it| it.restart_count >= MAX_RESTARTS)
        {
            bail!(
                "the container of {name} keeps restarting: {:?}",
                container.last_state
            );
        }
        let is_running = !containers.is_empty()
            && containers.iter().all(|container| {
                let state = container.state.as_ref();
                state.is_some_and(|state| state.running.is_some())
            });
        let address = match status.pod_ip.filter(|_| is_running) {
            Some(address) => Some(address.parse()?),
            None => None,
        };
        let seen = self.seen.entry(name.clone()).or_insert_with(|| PodState {
            name,
            created: Instant::now(),
            address: None,
            is_terminating: false,
        });
        seen.address = address;
        seen.is_terminating = pod.metadata.deletion_timestamp.is_some();
        Ok(())
    }
}
