//! One poller for each pod of each pool, while the pod exists.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use sampan_crd::POOL;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

use crate::pod_state::{address, has_ended, is_ending, is_ready};
use crate::pool_poll::Polling;
use crate::pool_reports::PodKey;
use crate::pools::Pools;
use crate::touched::Touched;

/// The pollers of all pools. They end with this.
pub(crate) struct PoolPollers {
    pools: Arc<Pools>,
    polling: Polling,
    tasks: JoinSet<()>,
    /// By namespace and by the pod's UID.
    polled: HashMap<String, HashMap<String, Poller>>,
}

struct Poller {
    address: IpAddr,
    ready: Arc<Notify>,
    task: AbortHandle,
}

impl PoolPollers {
    pub(crate) fn new(pools: Arc<Pools>, touched: Touched) -> Self {
        Self {
            polling: Polling::new(Arc::clone(&pools), touched),
            pools,
            tasks: JoinSet::new(),
            polled: HashMap::new(),
        }
    }

    /// Polls the pods of a namespace's pool that have an address and are not ending, and no other.
    /// Of more pods than `replicas` explains, the rest counts as silent.
    pub(crate) fn follow(&mut self, namespace: &str, pods: &[Arc<Pod>], replicas: i32) {
        let reports = &self.pools.reports;
        // An ending pod still serves what it has last reported.
        let there = pods.iter().filter(|pod| !has_ended(pod));
        let there: HashSet<&str> = there
            .filter_map(|pod| pod.metadata.uid.as_deref())
            .collect();
        reports.retain(namespace, &there);
        let (polled, rest) = polled(pods, replicas);
        for pod in rest {
            reports.ignore(&key(namespace, pod));
        }
        let living: HashMap<&str, IpAddr> = polled
            .iter()
            .filter_map(|pod| Some((pod.metadata.uid.as_deref()?, address(pod)?)))
            .collect();
        let pollers = self.polled.entry(namespace.to_owned()).or_default();
        pollers.retain(|uid, poller| {
            let stays = living.get(uid.as_str()) == Some(&poller.address);
            if !stays {
                poller.task.abort();
            }
            stays
        });
        for pod in polled {
            let key = key(namespace, pod);
            let became_ready = reports.expect(&key, is_ready(pod));
            let Some(address) = address(pod) else {
                continue;
            };
            if let Some(poller) = pollers.get(&key.uid) {
                if became_ready {
                    poller.ready.notify_one();
                }
                continue;
            }
            let uid = key.uid.clone();
            let ready = Arc::new(Notify::new());
            let poller = self.polling.clone().poll(key, address, Arc::clone(&ready));
            let task = self.tasks.spawn(poller);
            let poller = Poller {
                address,
                ready,
                task,
            };
            pollers.insert(uid, poller);
        }
        if pollers.is_empty() {
            self.polled.remove(namespace);
        }
        // Ended tasks hold nothing any more.
        while self.tasks.try_join_next().is_some() {}
    }
}

fn key(namespace: &str, pod: &Pod) -> PodKey {
    PodKey {
        namespace: namespace.to_owned(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
    }
}

/// Divides the pods that are not ending into those that are polled, and the rest. A roll-out has
/// twice the pods at most, and some more. Pods that the pool's Deployment has made come first.
pub(crate) fn polled(pods: &[Arc<Pod>], replicas: i32) -> (Vec<&Pod>, Vec<&Pod>) {
    let most = usize::try_from(replicas).unwrap_or(0).saturating_mul(2) + 2;
    let living = pods.iter().map(|pod| &**pod);
    let mut living: Vec<&Pod> = living.filter(|pod| !is_ending(pod)).collect();
    living.sort_by_key(|pod| {
        let made = pod.metadata.creation_timestamp.as_ref();
        let made = made.map(|time| time.0);
        (Reverse(is_made(pod)), made, pod.metadata.name.as_deref())
    });
    let rest = living.split_off(most.min(living.len()));
    (living, rest)
}

/// Whether a pod names a `ReplicaSet` of the pool as its owner.
fn is_made(pod: &Pod) -> bool {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    owners.any(|owner| {
        let name = owner.name.strip_prefix(POOL);
        owner.kind == "ReplicaSet" && name.is_some_and(|rest| rest.starts_with('-'))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::polled;

    fn pod(name: &str, second: u32, owner: Option<&str>, ending: bool) -> Arc<Pod> {
        let owners: Vec<_> = owner
            .map(|owner| json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": "u" }))
            .into_iter()
            .collect();
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {
                "name": name, "ownerReferences": owners,
                "creationTimestamp": format!("2026-01-01T00:00:{second:02}Z"),
                "deletionTimestamp": ending.then_some("2026-01-01T00:01:00Z"),
            },
        }))
        .expect("a pod");
        Arc::new(pod)
    }

    #[test]
    fn pods_of_the_pools_deployment_are_polled_first_and_not_too_many() {
        let made = Some("sampan-pool-7d4b9c");
        let pods = [
            pod("foreign-1", 1, None, false),
            pod("foreign-2", 2, Some("sampan-pools"), false),
            pod("foreign-3", 3, None, false),
            pod("ending", 4, made, true),
            pod("own-2", 6, made, false),
            pod("own-1", 5, made, false),
        ];
        let check = |replicas, polled_names: &[&str], rest_names: &[&str]| {
            let (polled, rest) = polled(&pods, replicas);
            let names = |pods: &[&Pod]| -> Vec<String> {
                let names = pods.iter().map(|pod| pod.metadata.name.clone());
                names.map(Option::unwrap_or_default).collect()
            };
            assert_eq!(names(&polled), polled_names);
            assert_eq!(names(&rest), rest_names);
        };
        let foreign = ["foreign-1", "foreign-2", "foreign-3"];
        check(0, &["own-1", "own-2"], &foreign);
        check(
            1,
            &["own-1", "own-2", "foreign-1", "foreign-2"],
            &foreign[2..],
        );
        let all = ["own-1", "own-2", "foreign-1", "foreign-2", "foreign-3"];
        check(1_000, &all, &[]);
    }
}
