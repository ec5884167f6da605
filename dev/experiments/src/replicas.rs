//! Watches the replicas of a function in a kind, with the time at which each was first reported:
//! the pods of its Deployment, or its resources in the pool.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt as _};
use sampan_measure::functions::functions;
use sampan_measure::namespace::Namespace;
use serde::de::DeserializeOwned;

use super::load::Target;
use super::manifest::{PORT, selector};

/// How long replicas may take to meet a condition; many at once take long.
const CONDITION_TIMEOUT: Duration = Duration::from_mins(5);
/// The count of restarts after which a container is given up.
const MAX_RESTARTS: i32 = 3;

/// An existing replica.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Replica {
    pub(super) name: String,
    /// The time at which the watch first reported it.
    pub(super) created: Instant,
    state: State,
}

/// The state of a replica in the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// Its address: of a pod once its container runs, of a pooled function once it has a port.
    address: Option<SocketAddr>,
    /// Whether it runs: a pod's container, or the current version of a pooled function in the pool.
    runs: bool,
    /// Whether it is being deleted.
    is_terminating: bool,
}

impl Replica {
    /// Whether requests can be sent to it, which it may not accept yet.
    pub(super) fn is_reachable(&self) -> bool {
        self.state.address.is_some() && !self.state.is_terminating
    }

    /// Whether it is reachable and runs.
    pub(super) fn is_running(&self) -> bool {
        self.is_reachable() && self.state.runs
    }

    /// The target of requests to it.
    pub(super) fn target(&self, path: &str) -> Result<Target> {
        let address = self.state.address;
        let address = address.with_context(|| format!("{} has no address", self.name))?;
        Ok(Target {
            address,
            path: path.to_owned(),
        })
    }
}

/// A change of the replicas, of either kind of object.
enum Change {
    /// A list of the existing ones begins.
    Listing,
    Seen(String, State),
    Gone(String),
    /// The list is complete.
    Listed,
}

/// A watch of the replicas of one function in one kind.
pub(super) struct Replicas {
    changes: Pin<Box<dyn Stream<Item = Result<Change>>>>,
    seen: BTreeMap<String, Replica>,
    label: String,
}

impl Replicas {
    /// Starts a watch of pods with this label, and reads the existing ones.
    pub(super) async fn of_pods(namespace: &Namespace, label: &str) -> Result<Self> {
        Self::watch(namespace.pods(), label, of_pod).await
    }

    /// Starts a watch of pooled functions with this label, and reads the existing ones. They have an
    /// address only with that of the pool's pod.
    pub(super) async fn of_functions(
        namespace: &Namespace,
        label: &str,
        pool: Option<IpAddr>,
    ) -> Result<Self> {
        let observe = move |function: &DynamicObject| of_function(function, pool);
        let functions = functions(namespace.client(), namespace.name());
        Self::watch(functions, label, observe).await
    }

    async fn watch<K>(
        api: Api<K>,
        label: &str,
        observe: impl Fn(&K) -> Result<State> + 'static,
    ) -> Result<Self>
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let config = watcher::Config::default().labels(&selector(label));
        let changes = watcher(api, config).map(move |event| {
            Ok(match event? {
                Event::Init => Change::Listing,
                Event::InitApply(object) | Event::Apply(object) => {
                    Change::Seen(object.name_any(), observe(&object)?)
                }
                Event::Delete(object) => Change::Gone(object.name_any()),
                Event::InitDone => Change::Listed,
            })
        });
        let mut replicas = Self {
            changes: Box::pin(changes),
            seen: BTreeMap::new(),
            label: label.to_owned(),
        };
        while !replicas.next().await? {}
        Ok(replicas)
    }

    /// Waits until the replicas meet a condition.
    pub(super) async fn until<T>(
        &mut self,
        what: &str,
        condition: impl Fn(&BTreeMap<String, Replica>) -> Option<T>,
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
                "the replicas of {} do not meet this within {CONDITION_TIMEOUT:?}: {what}; there are {:?}",
                self.label,
                self.seen.values().collect::<Vec<_>>()
            )
        })?
    }

    /// Waits until there are exactly this many replicas and all run.
    pub(super) async fn running(&mut self, count: usize) -> Result<Vec<Replica>> {
        self.until(&format!("{count} run"), |seen| {
            let all_run = seen.values().all(Replica::is_running);
            (all_run && seen.len() == count).then(|| seen.values().cloned().collect())
        })
        .await
    }

    /// Waits until none is left.
    pub(super) async fn gone(&mut self) -> Result<()> {
        self.until("all are gone", |seen| seen.is_empty().then_some(()))
            .await
    }

    /// Handles the next change; whether that ended the list of existing replicas.
    async fn next(&mut self) -> Result<bool> {
        match self.changes.next().await.context("the watch has ended")?? {
            Change::Listing => self.seen.clear(),
            Change::Seen(name, state) => {
                let seen = self.seen.entry(name.clone()).or_insert_with(|| Replica {
                    name,
                    created: Instant::now(),
                    state,
                });
                seen.state = state;
            }
            Change::Gone(name) => {
                self.seen.remove(&name);
            }
            Change::Listed => return Ok(true),
        }
        Ok(false)
    }
}

fn of_pod(pod: &Pod) -> Result<State> {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_deref());
    let containers = containers.unwrap_or_default();
    if let Some(container) = containers
        .iter()
        .find(|it| it.restart_count >= MAX_RESTARTS)
    {
        bail!(
            "the container of {} keeps restarting: {:?}",
            pod.name_any(),
            container.last_state
        );
    }
    let runs = !containers.is_empty()
        && containers.iter().all(|container| {
            let state = container.state.as_ref();
            state.is_some_and(|state| state.running.is_some())
        });
    let address = status.and_then(|status| status.pod_ip.as_deref());
    let address: Option<IpAddr> = match address.filter(|_| runs) {
        Some(address) => Some(address.parse()?),
        None => None,
    };
    Ok(State {
        address: address.map(|address| SocketAddr::new(address, PORT)),
        runs,
        is_terminating: pod.metadata.deletion_timestamp.is_some(),
    })
}

fn of_function(function: &DynamicObject, pool: Option<IpAddr>) -> Result<State> {
    let status = &function.data["status"];
    let port = match status["poolPort"].as_u64() {
        Some(port) => Some(u16::try_from(port)?),
        None => None,
    };
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    let is_current = status["observedGeneration"].as_i64() == function.metadata.generation;
    let is_ready = conditions.any(|it| it["type"] == "Ready" && it["status"] == "True");
    Ok(State {
        address: pool
            .zip(port)
            .map(|(pool, port)| SocketAddr::new(pool, port)),
        runs: is_ready && is_current,
        is_terminating: function.metadata.deletion_timestamp.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_pod_is_reachable_once_its_containers_run() {
        fn check(status: &Value, expected: Option<(Option<&str>, bool)>) {
            let pod = json!({ "metadata": { "name": "p" }, "status": status });
            let found = of_pod(&serde_json::from_value(pod).unwrap()).ok();
            let found = found.map(|state| (state.address, state.runs));
            let expected = expected.map(|(text, runs)| (text.map(address), runs));
            assert_eq!(found, expected, "{status}");
        }
        let container = |restarts: i32, state: Value| {
            json!([{ "name": "c", "image": "i", "imageID": "i", "ready": true,
                     "restartCount": restarts, "state": state }])
        };
        let running = || json!({ "running": {} });
        let with =
            |containers: Value| json!({ "podIP": "10.0.0.1", "containerStatuses": containers });
        check(&json!({}), Some((None, false)));
        check(&json!({ "podIP": "10.0.0.1" }), Some((None, false)));
        check(
            &with(container(0, json!({ "waiting": {} }))),
            Some((None, false)),
        );
        check(
            &with(container(0, running())),
            Some((Some("10.0.0.1:8080"), true)),
        );
        check(&with(container(3, running())), None);
    }

    #[test]
    fn a_pooled_function_is_reachable_with_its_port_and_runs_when_it_is_ready() {
        fn check(status: &Value, expected: (Option<&str>, bool)) {
            let function = json!({
                "apiVersion": "sampan.dev/v1alpha1", "kind": "WasmFunction",
                "metadata": { "name": "f", "generation": 2 }, "status": status,
            });
            let function: DynamicObject = serde_json::from_value(function).unwrap();
            let state = of_function(&function, Some([10, 0, 0, 1].into())).unwrap();
            let expected = (expected.0.map(address), expected.1);
            assert_eq!((state.address, state.runs), expected, "{status}");
            assert_eq!(of_function(&function, None).unwrap().address, None);
        }
        let ready = |generation: i64, is_ready: &str| {
            json!({ "poolPort": 10_000, "observedGeneration": generation,
                    "conditions": [{ "type": "Accepted", "status": "True" },
                                   { "type": "Ready", "status": is_ready }] })
        };
        check(&json!({}), (None, false));
        check(
            &json!({ "poolPort": 10_000 }),
            (Some("10.0.0.1:10000"), false),
        );
        check(&ready(2, "False"), (Some("10.0.0.1:10000"), false));
        check(&ready(1, "True"), (Some("10.0.0.1:10000"), false));
        check(&ready(2, "True"), (Some("10.0.0.1:10000"), true));
    }
}
