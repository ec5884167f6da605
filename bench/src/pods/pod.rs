//! Pods of a benchmark: made in a namespace of their own, waited for, and removed with it.

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{Namespace as Object, Pod as PodObject, ServiceAccount};
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::wait::{Condition, await_condition};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::contender::{Contender, PORT};
use crate::arguments::Images;

/// How long a pod may take to run or to go; a hundred at once take long.
const PATIENCE: Duration = Duration::from_mins(5);

/// A namespace that is removed with all that is in it.
pub(crate) struct Namespace {
    client: Client,
    name: String,
}

/// A pod that runs.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// When it was seen to be given to a node.
    pub(crate) scheduled: Instant,
}

impl Namespace {
    /// Makes one whose name begins with `prefix`.
    pub(crate) async fn create(client: Client, prefix: &str) -> Result<Self> {
        let object: Object = serde_json::from_value(json!({
            "metadata": { "generateName": format!("{prefix}-") },
        }))?;
        let api: Api<Object> = Api::all(client.clone());
        let made = api.create(&PostParams::default(), &object).await?;
        let name = made.name_any();
        let namespace = Self { client, name };
        namespace.account().await?;
        Ok(namespace)
    }

    /// Waits for the account that every pod of the namespace uses.
    async fn account(&self) -> Result<()> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.name);
        let is_there = |account: Option<&ServiceAccount>| account.is_some();
        wait(api, "default", is_there).await
    }

    pub(crate) fn pods(&self) -> Api<PodObject> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Starts a pod and waits until its container runs.
    pub(crate) async fn run(
        &self,
        contender: Contender,
        name: &str,
        images: &Images,
    ) -> Result<Pod> {
        let mut started = self.run_all(contender, &[name.to_owned()], images).await?;
        started.pop().context("one pod was started")
    }

    /// Starts pods at once and waits until all run.
    pub(crate) async fn run_all(
        &self,
        contender: Contender,
        names: &[String],
        images: &Images,
    ) -> Result<Vec<Pod>> {
        let watched = watcher(self.pods(), watcher::Config::default()).applied_objects();
        let mut events = Box::pin(watched);
        let create = async {
            for name in names {
                let pod = contender.pod(name, images);
                self.pods().create(&PostParams::default(), &pod).await?;
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
        let ((), running) = tokio::time::timeout(PATIENCE, both)
            .await
            .context("the pods do not run in time")??;
        Ok(running)
    }

    /// Deletes a pod and waits until it is gone.
    pub(crate) async fn delete(&self, name: &str) -> Result<()> {
        self.delete_all(&[name.to_owned()]).await
    }

    /// Deletes pods and waits until all are gone, which is after their containers have ended: with a grace period of
    /// zero the API server would forget them at once, and they would end while others are measured.
    pub(crate) async fn delete_all(&self, names: &[String]) -> Result<()> {
        let api = self.pods();
        for name in names {
            api.delete(name, &DeleteParams::default()).await?;
        }
        for name in names {
            let is_gone = |pod: Option<&PodObject>| pod.is_none();
            wait(api.clone(), name, is_gone).await?;
        }
        Ok(())
    }

    /// Removes the namespace, and waits until it is gone.
    pub(crate) async fn remove(&self) -> Result<()> {
        let api: Api<Object> = Api::all(self.client.clone());
        api.delete(&self.name, &DeleteParams::default()).await?;
        let is_gone = |namespace: Option<&Object>| namespace.is_none();
        wait(api, &self.name, is_gone).await
    }
}

/// Waits until an object is as it should be.
async fn wait<K>(api: Api<K>, name: &str, condition: impl Condition<K>) -> Result<()>
where
    K: Clone + Debug + Resource + Send + DeserializeOwned + 'static,
{
    let reached = await_condition(api, name, condition);
    tokio::time::timeout(PATIENCE, reached)
        .await
        .with_context(|| format!("{name} does not become what it should within {PATIENCE:?}"))??;
    Ok(())
}

/// The address of a pod whose container runs.
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
