//! What reconciles know of pools: the ports of functions, the reports of pods, and why a pool
//! cannot be made.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::build::Identity;
use crate::caches::{Caches, ObservedPool};
use crate::pool_ports::PoolPorts;
use crate::pool_reports::{PodKey, PoolReports};
use crate::pool_view::{PoolPod, PoolView, address, is_ending, is_ready};
use crate::port_use::PortUse;
use crate::refusal::Refusal;

/// The pools of all namespaces.
pub(crate) struct Pools {
    pub(crate) ports: PoolPorts,
    pub(crate) reports: Arc<PoolReports>,
    problems: Mutex<HashMap<String, Refusal>>,
}

impl Pools {
    pub(crate) fn new() -> Self {
        Self {
            ports: PoolPorts::new(Instant::now()),
            reports: Arc::default(),
            problems: Mutex::default(),
        }
    }

    /// The pool of a function's namespace, with what its pods say of the function.
    pub(crate) fn view(&self, caches: &Caches, identity: &Identity) -> PoolView {
        let ObservedPool {
            deployment,
            pods,
            warnings,
        } = caches.observe_pool(&identity.namespace);
        let living = pods.iter().filter(|pod| !is_ending(pod));
        let mut known: Vec<PoolPod> = living
            .map(|pod| {
                let key = PodKey {
                    namespace: identity.namespace.clone(),
                    uid: pod.metadata.uid.clone().unwrap_or_default(),
                };
                PoolPod {
                    name: pod.metadata.name.clone().unwrap_or_default(),
                    ready: is_ready(pod),
                    report: self.reports.of(&key, &identity.uid),
                }
            })
            .collect();
        // Always in the same order, so that conditions do not change without reason.
        known.sort_by(|left, right| left.name.cmp(&right.name));
        PoolView {
            pods: known,
            deployment,
            objects: pods,
            warnings,
        }
    }

    /// The ports of a function's namespace that are in use. A pod without an address never served.
    pub(crate) fn port_use(&self, caches: &Caches, identity: &Identity) -> PortUse {
        let pool = caches.observe_pool(&identity.namespace);
        let pods = pool.pods.iter();
        let pods = pods.filter(|pod| !is_ending(pod) && address(pod).is_some());
        let pods = pods.map(|pod| PodKey {
            namespace: identity.namespace.clone(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
        });
        PortUse {
            targets: caches.pool_targets(identity),
            served: self.reports.served_ports(pods),
            has_pool: pool.deployment.is_some(),
        }
    }

    /// Why the pool of a namespace cannot be made.
    pub(crate) fn problem(&self, namespace: &str) -> Option<Refusal> {
        self.lock().get(namespace).cloned()
    }

    /// Records why the pool of a namespace cannot be made; `None` when nothing prevents it.
    pub(crate) fn set_problem(&self, namespace: &str, problem: Option<Refusal>) {
        let mut problems = self.lock();
        match problem {
            Some(problem) => {
                problems.insert(namespace.to_owned(), problem);
            }
            None => {
                problems.remove(namespace);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Refusal>> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
