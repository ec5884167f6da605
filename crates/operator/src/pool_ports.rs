//! Assigns each pooled function of a namespace a port of its own in the pods of the pool.
//!
//! The status has the assignment. The watches of functions and Services keep a ledger of it, which
//! also has what no status shows: assignments that the cache does not have yet, ports whose last
//! function still drains, and Services of functions that are gone. A pod that goes on serving a
//! deleted function keeps that function's port from being assigned.

mod ledger;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Service;
use kube::Resource as _;
use sampan_crd::{MOVE_DRAIN, POOL_DRAIN_PER_FUNCTION};

use crate::backend::Backend;
use crate::watched::WatchedFunction;
use ledger::{Claim, Ledger};

/// How long a port is not assigned again after its function has left it, in a namespace without others.
const REST: Duration = MOVE_DRAIN.saturating_add(Duration::from_secs(5));

/// How long a port rests in a namespace with so many functions: when all of their Services change, the endpoints of the
/// last one still lead to its old port for that long.
fn rest(functions: usize) -> Duration {
    let functions = u32::try_from(functions).unwrap_or(u32::MAX);
    REST.saturating_add(POOL_DRAIN_PER_FUNCTION.saturating_mul(functions))
}

/// The wait for the watch of a function that is not known yet.
const UNKNOWN_RETRY: Duration = Duration::from_secs(1);

/// A function and the port in its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claimant {
    /// The name of the resource.
    pub(crate) name: String,
    /// The UID of the resource.
    pub(crate) uid: String,
    /// The second of its creation. Of two functions with one port, the older keeps it.
    pub(crate) created: i64,
    /// The port in its status.
    pub(crate) port: Option<u16>,
}

impl Claimant {
    /// A function of the cache; `None` for one without an identity.
    pub(crate) fn of(function: &WatchedFunction) -> Option<Self> {
        let created = function.meta().creation_timestamp.as_ref();
        Some(Self {
            name: function.meta().name.clone()?,
            uid: function.meta().uid.clone()?,
            created: created.map_or(i64::MAX, |time| time.0.as_second()),
            port: function.pool_port(),
        })
    }
}

/// What is known of the pods when a port is assigned.
pub(crate) struct PodsInput<'a> {
    /// Whether the namespace had a pool before this function.
    pub(crate) had_pool: bool,
    /// Whether every pod has reported what it serves since its last start.
    pub(crate) all_listed: bool,
    /// Whether a pod has reported that it serves another function at a port.
    pub(crate) serves_other: &'a dyn Fn(u16) -> bool,
}

/// The result of an assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Assignment {
    /// The function's port, and the names of younger functions that have it as well.
    Port(u16, Vec<String>),
    /// No port is free.
    Full,
    /// Ask again after this time: ports may still drain that only an earlier operator knew.
    Later(Duration),
}

/// The ports of all namespaces.
pub(crate) struct PoolPorts {
    started: Instant,
    ledgers: Mutex<HashMap<String, Ledger>>,
}

impl PoolPorts {
    pub(crate) fn new(started: Instant) -> Self {
        Self {
            started,
            ledgers: Mutex::default(),
        }
    }

    /// Records a function that was made or changed. The cache must not have it before.
    pub(crate) fn set(&self, function: &WatchedFunction, now: Instant) {
        if let (Some(namespace), Some(own)) = (&function.meta().namespace, Claimant::of(function)) {
            let mut ledgers = self.lock();
            let needs_pool = function.needs_pool();
            match ledgers.get_mut(namespace) {
                Some(ledger) => ledger.set(own, needs_pool, now),
                // Namespaces without pooled functions have no ledger.
                None if needs_pool => {
                    let ledger = ledgers.entry(namespace.clone()).or_default();
                    ledger.set(own, needs_pool, now);
                }
                None => {}
            }
        }
    }

    /// Records a deleted function.
    pub(crate) fn remove(&self, function: &WatchedFunction, now: Instant) {
        if let (Some(namespace), Some(uid)) = (&function.meta().namespace, &function.meta().uid)
            && let Some(ledger) = self.lock().get_mut(namespace)
        {
            ledger.remove(uid, now);
        }
    }

    /// Records a complete list of functions.
    pub(crate) fn set_all<'a>(
        &self,
        functions: impl Iterator<Item = &'a WatchedFunction> + Clone,
        now: Instant,
    ) {
        for function in functions.clone() {
            self.set(function, now);
        }
        let uids: HashSet<String> = functions
            .filter_map(|function| function.meta().uid.clone())
            .collect();
        for ledger in self.lock().values_mut() {
            ledger.retain(&uids, now);
        }
    }

    /// Records a Service that was made or changed.
    pub(crate) fn set_service(&self, service: &Service) {
        let port = match Backend::of(service) {
            Some(Backend::Pool(port)) => Some(port),
            Some(Backend::Pods) | None => None,
        };
        self.lead(service, port);
    }

    /// Records a deleted Service.
    pub(crate) fn remove_service(&self, service: &Service) {
        self.lead(service, None);
    }

    /// Records a complete list of Services.
    pub(crate) fn set_services<'a>(&self, services: impl Iterator<Item = &'a Service> + Clone) {
        let mut there: HashMap<String, HashSet<String>> = HashMap::new();
        for service in services {
            self.set_service(service);
            let metadata = &service.metadata;
            if let (Some(namespace), Some(name)) = (&metadata.namespace, &metadata.name) {
                let names = there.entry(namespace.clone()).or_default();
                names.insert(name.clone());
            }
        }
        for (namespace, ledger) in self.lock().iter_mut() {
            ledger.retain_services(there.get(namespace).unwrap_or(&HashSet::new()));
        }
    }

    fn lead(&self, service: &Service, port: Option<u16>) {
        let metadata = &service.metadata;
        let (Some(namespace), Some(name)) = (&metadata.namespace, &metadata.name) else {
            return;
        };
        let mut ledgers = self.lock();
        if port.is_some() {
            let ledger = ledgers.entry(namespace.clone()).or_default();
            ledger.set_service(name, port);
        } else if let Some(ledger) = ledgers.get_mut(namespace) {
            ledger.set_service(name, None);
        }
    }

    /// Assigns a port to `own`, or keeps the one that it has.
    pub(crate) fn assign(
        &self,
        namespace: &str,
        own: &Claimant,
        pods: &PodsInput<'_>,
        now: Instant,
    ) -> Assignment {
        let mut ledgers = self.lock();
        let Some(ledger) = ledgers.get_mut(namespace) else {
            let kept = own.port.map(|port| Assignment::Port(port, Vec::new()));
            return kept.unwrap_or(Assignment::Later(UNKNOWN_RETRY));
        };
        match ledger.claim(own, now) {
            Claim::Has(port) => {
                let others = ledger.others(port, &own.uid);
                return Assignment::Port(port, others);
            }
            Claim::Unknown => return Assignment::Later(UNKNOWN_RETRY),
            Claim::None => {}
        }
        let age = now.saturating_duration_since(self.started);
        if pods.had_pool
            && let Some(left) = REST.checked_sub(age).filter(|left| !left.is_zero())
        {
            return Assignment::Later(left);
        }
        // A pod that has just started may serve what it served before.
        if pods.all_listed {
            ledger.free_rested(now);
        }
        let assigned = ledger.assign(&own.uid, |port| !(pods.serves_other)(port));
        assigned.map_or(Assignment::Full, |port| Assignment::Port(port, Vec::new()))
    }

    /// The name of a function that needs the pool of its namespace.
    pub(crate) fn name(&self, namespace: &str, uid: &str) -> Option<String> {
        self.lock().get(namespace)?.name(uid)
    }

    /// The number of functions that need the pool of a namespace.
    pub(crate) fn count(&self, namespace: &str) -> usize {
        self.lock().get(namespace).map_or(0, Ledger::function_count)
    }

    /// The names of the functions that need the pool of a namespace.
    pub(crate) fn names(&self, namespace: &str) -> Vec<String> {
        self.lock()
            .get(namespace)
            .map_or_else(Vec::new, Ledger::names)
    }

    /// Namespaces with functions that need a pool.
    pub(crate) fn namespaces(&self) -> BTreeSet<String> {
        let ledgers = self.lock();
        let needing = ledgers
            .iter()
            .filter(|(_, ledger)| ledger.function_count() > 0);
        needing.map(|(namespace, _)| namespace.clone()).collect()
    }

    /// Forgets namespaces without pooled functions. `has_pods` says whether a pool has pods, which
    /// may not have listed the functions yet.
    pub(crate) fn prune(&self, now: Instant, has_pods: impl Fn(&str) -> bool) {
        self.lock().retain(|namespace, ledger| {
            if ledger.function_count() > 0 || has_pods(namespace) {
                return true;
            }
            ledger.free_rested(now);
            !ledger.is_empty()
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Ledger>> {
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
