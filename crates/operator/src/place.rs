//! Finds the place of one function: gathers what the decision needs, and assigns its port.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource as _;
use sampan_crd::{Placement, PlacementPolicy, WasmFunctionStatus};

use crate::apply::{Applied, applied_digest};
use crate::backend::Backend;
use crate::build::Identity;
use crate::caches::Observed;
use crate::placement::{self, PlacementInput, PodsAction, PodsState};
use crate::pool_ports::{Assignment, Claimant, PodsInput};
use crate::pool_view::PoolView;
use crate::pools::Pools;
use crate::refusal::Refusal;
use crate::status::Placed;
use crate::watched::WatchedFunction;

/// The wait for a port while all are assigned.
const FULL_RETRY: Duration = Duration::from_secs(30);

/// What is known of the function.
pub(crate) struct PlaceInput<'a> {
    pub(crate) resource: &'a WatchedFunction,
    pub(crate) identity: &'a Identity,
    /// The place where the function is to be served.
    pub(crate) wanted: Placement,
    /// The placement that the resource asks for.
    pub(crate) policy: PlacementPolicy,
    /// The last status, empty if there is none.
    pub(crate) last: &'a WasmFunctionStatus,
    pub(crate) observed: &'a Observed,
    /// Whether a move of the Service was sent, and no status has its time yet.
    pub(crate) unconfirmed: bool,
    /// The digest of the desired Deployment; `None` if it does not matter.
    pub(crate) deployment: Option<&'a str>,
    /// The pool; `None` for a function that does not need it.
    pub(crate) pool: Option<&'a PoolView>,
    pub(crate) now: &'a Time,
}

/// The place of a function.
#[derive(Debug)]
pub(crate) struct Place {
    /// What the Service has to point at.
    pub(crate) backend: Backend,
    /// What to do with the Deployment.
    pub(crate) pods: PodsAction,
    /// The part of the status.
    pub(crate) placed: Placed,
    /// Whether the function moves now.
    pub(crate) moves: bool,
    /// Whether its Service has to be changed for that.
    pub(crate) redirects: bool,
    /// The time after which another decision is due.
    pub(crate) again: Option<Duration>,
    /// Why the pool cannot serve it.
    pub(crate) refusal: Option<Refusal>,
    /// Younger functions that have the same port, and have to get another one.
    pub(crate) losers: Vec<String>,
}

impl Place {
    /// Whether the status must have the place before any object is changed: a port that is new, or
    /// a move into the pool. A move out of it is the other way round, because the pool stops to
    /// serve what the status does not name.
    pub(crate) fn is_announced(&self, last: &WasmFunctionStatus) -> bool {
        let into_pool = self.placed.placement == Some(Placement::Pooled)
            && last.placement != Some(Placement::Pooled);
        let new_port = self.placed.pool_port.is_some() && self.placed.pool_port != last.pool_port;
        into_pool || new_port
    }

    /// Whether the status may have the place after the objects were applied. A move out of the pool
    /// counts only once the Service has moved: the pool ends to serve what it leaves.
    pub(crate) fn is_done(&self, applied: &Applied) -> bool {
        let out_of_pool = self.moves && self.placed.placement == Some(Placement::Pod);
        !out_of_pool || applied.has_service
    }

    /// The part of the status after the objects were applied at `now`. The old place drains from the
    /// moment when the Service was changed, however long that took. One that was not changed starts
    /// no drain, so that a retry changes nothing.
    pub(crate) fn placed_after(
        &self,
        applied: &Applied,
        last: &WasmFunctionStatus,
        now: Time,
    ) -> Placed {
        let moved_at = match (self.redirects, applied.service_written) {
            (true, true) => Some(now),
            (true, false) => last.moved_at.clone(),
            (false, _) => self.placed.moved_at.clone(),
        };
        Placed {
            moved_at,
            ..self.placed.clone()
        }
    }

    /// Whether the function is served at another place since the objects were applied.
    pub(crate) fn has_moved(&self, applied: &Applied) -> bool {
        let redirected = self.redirects && applied.service_written;
        redirected || (self.moves && applied.has_service)
    }

    /// Whether the function has objects: one without a place gets none.
    pub(crate) fn has_objects(&self, observed: &Observed) -> bool {
        let there = observed.service.is_some() || observed.deployment.is_some();
        there || self.placed.placement.is_some()
    }
}

/// Whether a function needs the pool of its namespace.
pub(crate) fn needs_pool(wanted: Placement, last: &WasmFunctionStatus) -> bool {
    wanted == Placement::Pooled || is_pooled(last) || last.pool_port.is_some()
}

/// Whether the pool serves a function.
pub(crate) fn is_pooled(last: &WasmFunctionStatus) -> bool {
    last.placement == Some(Placement::Pooled)
}

/// Decides.
pub(crate) fn decide(input: &PlaceInput<'_>, pools: &Pools) -> Place {
    let last = input.last;
    // Pods that were counted show a function from before there were placements.
    let known = last.placement.is_some() || last.replicas > 0;
    let asks = input.wanted == Placement::Pooled || is_pooled(last);
    let mut wait = None;
    let mut refusal = None;
    let mut losers = Vec::new();
    let port = if asks && (pools.enabled || last.pool_port.is_some()) {
        match port(input, pools) {
            Assignment::Port(port, others) => {
                losers = others;
                Some(port)
            }
            Assignment::Full => {
                refusal = Some(Refusal::PoolFull);
                wait = Some(FULL_RETRY);
                None
            }
            Assignment::Later(after) => {
                wait = Some(after);
                None
            }
        }
    } else {
        last.pool_port
    };
    let decision = placement::decide(&PlacementInput {
        wanted: input.wanted,
        policy: input.policy,
        placement: last.placement,
        known,
        pool_port: port,
        moved_at: last.moved_at.clone(),
        service: input.observed.service.as_deref().and_then(Backend::of),
        unconfirmed: input.unconfirmed,
        pods: pods_state(input.observed.deployment.as_deref(), input.deployment),
        pool_serves: input
            .pool
            .is_some_and(|pool| pool.serves(input.resource.meta().generation, port)),
        now: input.now.clone(),
    });
    if input.wanted == Placement::Pooled {
        refusal = refusal.or_else(|| pools.problem(&input.identity.namespace));
    }
    // A function that has waited for its port in vain has no place yet.
    let unplaced = asks && port.is_none() && !known;
    Place {
        backend: decision.backend,
        pods: decision.pods,
        placed: Placed {
            placement: (!unplaced).then_some(decision.placement),
            pool_port: decision.pool_port,
            moved_at: decision.moved_at,
        },
        moves: decision.moves,
        redirects: decision.redirects,
        again: decision.again.into_iter().chain(wait).min(),
        refusal,
        losers,
    }
}

fn port(input: &PlaceInput<'_>, pools: &Pools) -> Assignment {
    let Identity { namespace, uid, .. } = input.identity;
    let Some(own) = Claimant::of(input.resource) else {
        return Assignment::Later(FULL_RETRY);
    };
    let own = Claimant {
        port: input.last.pool_port,
        ..own
    };
    let pool = input.pool;
    let pods = PodsInput {
        had_pool: pool.is_some_and(|pool| pool.deployment.is_some()),
        all_listed: pool.is_none_or(|pool| pools.reports.have_listed(namespace, &pool.objects)),
        serves_other: &|port| pools.reports.serves_other(namespace, port, uid),
    };
    pools.ports.assign(namespace, &own, &pods, Instant::now())
}

/// The state of a Deployment. With the digest of the desired one, another version is not available:
/// it has to be applied first.
fn pods_state(deployment: Option<&Deployment>, desired: Option<&str>) -> PodsState {
    let Some(deployment) = deployment else {
        return PodsState::Absent;
    };
    if desired.is_some_and(|desired| applied_digest(deployment) != Some(desired)) {
        return PodsState::Starting;
    }
    let status = deployment.status.clone().unwrap_or_default();
    let spec = deployment.spec.as_ref();
    let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let current = status.observed_generation >= deployment.metadata.generation;
    let updated = status.updated_replicas.unwrap_or(0) >= wanted;
    let available = status.available_replicas.unwrap_or(0) >= wanted;
    if current && updated && available && deployment.metadata.deletion_timestamp.is_none() {
        PodsState::Available
    } else {
        PodsState::Starting
    }
}

#[cfg(test)]
mod tests;
