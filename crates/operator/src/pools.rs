//! What reconciles know of pools: the ports of functions, the reports of pods, and why a pool
//! cannot be made.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::build::Identity;
use crate::caches::{Caches, ObservedPool};
use crate::pod_state::{is_ending, is_ready};
use crate::pool_ports::PoolPorts;
use crate::pool_reports::{PodKey, PoolReports};
use crate::pool_view::{PoolPod, PoolView};
use crate::refusal::Refusal;

/// The pools of all namespaces.
pub(crate) struct Pools {
    /// Whether this operator makes pools.
    pub(crate) enabled: bool,
    pub(crate) ports: Arc<PoolPorts>,
    pub(crate) reports: Arc<PoolReports>,
    problems: Mutex<HashMap<String, Refusal>>,
}

impl Pools {
    pub(crate) fn new(enabled: bool) -> Self {
        Self {
            enabled,
            ports: Arc::new(PoolPorts::new(Instant::now())),
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

    /// Why the pool of a namespace cannot be made. A pool from before goes on without this operator.
    pub(crate) fn problem(&self, namespace: &str) -> Option<Refusal> {
        if !self.enabled {
            return Some(Refusal::PoolDisabled);
        }
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
