//! The pods of a Deployment as a watch tells of them, with the time at which each was first seen.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::runtime::watcher::{self, Event, watcher};

use super::load::Target;
use super::manifest::{LABEL, PORT};
use crate::namespace::Namespace;

/// How long pods may take to become what they should; many at once take long.
const PATIENCE: Duration = Duration::from_mins(5);
/// A pod whose container has ended so often will not do better.
const MOST_RESTARTS: i32 = 3;

/// A pod that exists.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) name: String,
    /// When a watch first told of it.
    pub(super) created: Instant,
    /// Its address, once its container runs.
    pub(super) address: Option<IpAddr>,
    /// Whether it is being deleted.
    pub(super) is_leaving: bool,
}

impl Seen {
    /// Whether it can be asked.
    pub(super) fn is_running(&self) -> bool {
        self.address.is_some() && !self.is_leaving
    }

    /// Where to ask it.
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
    seen: BTreeMap<String, Seen>,
    deployment: String,
}

impl Pods {
    /// Begins to watch, and knows those that are there.
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

    /// Waits until they are as they should be.
    pub(super) async fn until<T>(
        &mut self,
        what: &str,
        condition: impl Fn(&BTreeMap<String, Seen>) -> Option<T>,
    ) -> Result<T> {
        let reached = async {
            loop {
                if let Some(found) = condition(&self.seen) {
                    return anyhow::Ok(found);
                }
                self.next().await?;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        reached.with_context(|| {
            format!(
                "the pods of {} do not come to this within {PATIENCE:?}: {what}; there are {:?}",
                self.deployment,
                self.seen.values().collect::<Vec<_>>()
            )
        })?
    }

    /// Waits until exactly so many are there and all run.
    pub(super) async fn running(&mut self, count: usize) -> Result<Vec<Seen>> {
        self.until(&format!("{count} run"), |seen| {
            let all_run = seen.values().all(Seen::is_running);
            (all_run && seen.len() == count).then(|| seen.values().cloned().collect())
        })
        .await
    }

    /// Takes what the watch tells next; whether that was the end of what had been there.
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
            .find(|it| it.restart_count >= MOST_RESTARTS)
        {
            bail!(
                "the container of {name} ends again and again: {:?}",
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
        let seen = self.seen.entry(name.clone()).or_insert_with(|| Seen {
            name,
            created: Instant::now(),
            address: None,
            is_leaving: false,
        });
        seen.address = address;
        seen.is_leaving = pod.metadata.deletion_timestamp.is_some();
        Ok(())
    }
}
