//! Decides where a function is served: by its own pods or by the pool of its namespace.
//!
//! A pure state machine. It moves the Service when the other place can answer, and ends the old
//! place [`MOVE_DRAIN`] later. It needs no memory but the status: after an interruption at any
//! point, the next decision continues.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use sampan_crd::{MOVE_DRAIN, Placement, PlacementPolicy};

use crate::backend::Backend;

/// The drain of an old place, with a margin: times in a status are whole seconds.
const DRAIN: Duration = MOVE_DRAIN.saturating_add(Duration::from_secs(1));

/// What is known of a function's places.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlacementInput {
    /// The place where the function is to be served: that of the resource, or of its load.
    pub(crate) wanted: Placement,
    /// The placement that the resource asks for. With `Auto`, it describes the function's pods as well
    /// as its place in the pool.
    pub(crate) policy: PlacementPolicy,
    /// The place of the last status.
    pub(crate) placement: Option<Placement>,
    /// Whether a status was ever written.
    pub(crate) known: bool,
    /// The function's port in the pool; `None` without one.
    pub(crate) pool_port: Option<u16>,
    /// When the Service last moved.
    pub(crate) moved_at: Option<Time>,
    /// What the existing Service points at; `None` without one.
    pub(crate) service: Option<Backend>,
    /// Whether a change of the Service was sent, and no status has its time: the answer was lost.
    pub(crate) unconfirmed: bool,
    /// The existing Deployment.
    pub(crate) pods: PodsState,
    /// Whether every ready pod of the pool, and at least one, serves the current version.
    pub(crate) pool_serves: bool,
    /// The current time, in whole seconds.
    pub(crate) now: Time,
}

/// The state of the function's Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PodsState {
    /// It does not exist.
    Absent,
    /// Some requested pods are not available.
    Starting,
    /// All requested pods are available.
    Available,
}

/// What to do with the function's Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PodsAction {
    /// Make it, or keep it as desired.
    Apply,
    /// Leave it as it is: it serves, or drains, until the pool has taken over.
    Leave,
    /// Delete it.
    Remove,
}

/// The decision.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlacementDecision {
    /// What the Service has to point at.
    pub(crate) backend: Backend,
    /// What to do with the Deployment.
    pub(crate) pods: PodsAction,
    /// `status.placement`.
    pub(crate) placement: Placement,
    /// `status.poolPort`.
    pub(crate) pool_port: Option<u16>,
    /// `status.movedAt`. If `redirects`, it is the time of the decision: the drain begins when the
    /// Service was written.
    pub(crate) moved_at: Option<Time>,
    /// Whether the function moves now from one place to the other.
    pub(crate) moves: bool,
    /// Whether the Service has to be changed while another place has to drain.
    pub(crate) redirects: bool,
    /// The time after which another decision is due.
    pub(crate) again: Option<Duration>,
}

/// Decides.
pub(crate) fn decide(input: &PlacementInput) -> PlacementDecision {
    let mut decision = match (at(input), input.wanted) {
        (Placement::Pod, Placement::Pod) => stay_in_pods(input),
        (Placement::Pod, Placement::Pooled) => to_pool(input),
        (Placement::Pooled, Placement::Pooled) => stay_in_pool(input),
        (Placement::Pooled, Placement::Pod) => to_pods(input),
    };
    let has_old_place = match decision.backend {
        Backend::Pool(_) => input.pods != PodsState::Absent,
        Backend::Pods => decision.pool_port.is_some(),
    };
    // Also after an interruption between the Service and the status, and after a change of the
    // Service by another client: only now do the proxies get to know the place.
    let redirected = match (input.service, decision.backend) {
        (Some(before), after) => before != after,
        (None, Backend::Pool(_)) => has_old_place,
        (None, Backend::Pods) => false,
    };
    if (redirected || input.unconfirmed) && (decision.moves || has_old_place) {
        decision.redirects = redirected;
        decision.moved_at = Some(input.now.clone());
        decision.again = has_old_place.then_some(DRAIN);
        if decision.pods == PodsAction::Remove {
            decision.pods = PodsAction::Leave;
        }
    }
    decision
}

/// Where the function is served now. A new function has no old place that could answer meanwhile.
fn at(input: &PlacementInput) -> Placement {
    let new = !input.known && input.pods == PodsState::Absent;
    let unplaced = if new { input.wanted } else { Placement::Pod };
    // Without a port, a new function cannot be served by the pool.
    let unplaced = input.pool_port.map_or(Placement::Pod, |_| unplaced);
    input.placement.unwrap_or(unplaced)
}

/// The rest of the drain of the old place; `None` when it is over.
fn drain_left(input: &PlacementInput) -> Option<Duration> {
    let moved_at = input.moved_at.as_ref()?;
    let since = input.now.0.duration_since(moved_at.0);
    // A clock that was set back makes the drain longer, up to its whole length again.
    let since = Duration::try_from(since).unwrap_or(Duration::ZERO);
    DRAIN.checked_sub(since).filter(|left| !left.is_zero())
}

fn stay_in_pods(input: &PlacementInput) -> PlacementDecision {
    // A Service that still points at the pool is redirected only now.
    let served_by_pool = matches!(input.service, Some(Backend::Pool(_)));
    let left = drain_left(input).filter(|_| input.pool_port.is_some());
    let keeps_port = served_by_pool || left.is_some() || input.unconfirmed;
    PlacementDecision {
        backend: Backend::Pods,
        pods: PodsAction::Apply,
        placement: Placement::Pod,
        pool_port: input.pool_port.filter(|_| keeps_port),
        moved_at: input.moved_at.clone(),
        moves: false,
        redirects: false,
        again: left,
    }
}

fn to_pool(input: &PlacementInput) -> PlacementDecision {
    match input.pool_port {
        Some(port) if input.pool_serves => PlacementDecision {
            backend: Backend::Pool(port),
            pods: PodsAction::Leave,
            placement: Placement::Pooled,
            pool_port: Some(port),
            moved_at: Some(input.now.clone()),
            moves: true,
            redirects: false,
            again: (input.pods != PodsState::Absent).then_some(DRAIN),
        },
        port => PlacementDecision {
            backend: Backend::Pods,
            // The fields of a pooled function, such as the number of replicas, are no longer those of
            // its pods. A function that has no place yet waits for its port, and gets no pods.
            pods: if input.policy == PlacementPolicy::Auto && input.known {
                PodsAction::Apply
            } else {
                PodsAction::Leave
            },
            placement: Placement::Pod,
            pool_port: port,
            moved_at: input.moved_at.clone(),
            moves: false,
            redirects: false,
            again: None,
        },
    }
}

fn stay_in_pool(input: &PlacementInput) -> PlacementDecision {
    let exists = input.pods != PodsState::Absent;
    let (pods, again, moved_at) = match (exists, &input.moved_at, drain_left(input)) {
        (false, moved_at, _) => (PodsAction::Leave, None, moved_at.clone()),
        (true, Some(moved_at), Some(left)) => {
            (PodsAction::Leave, Some(left), Some(moved_at.clone()))
        }
        (true, Some(moved_at), None) => (PodsAction::Remove, None, Some(moved_at.clone())),
        (true, None, _) => (PodsAction::Leave, Some(DRAIN), Some(input.now.clone())),
    };
    PlacementDecision {
        backend: pool(input.pool_port),
        pods,
        placement: Placement::Pooled,
        pool_port: input.pool_port,
        moved_at,
        moves: false,
        redirects: false,
        again,
    }
}

fn to_pods(input: &PlacementInput) -> PlacementDecision {
    if input.pods != PodsState::Available {
        return PlacementDecision {
            backend: pool(input.pool_port),
            pods: PodsAction::Apply,
            placement: Placement::Pooled,
            pool_port: input.pool_port,
            moved_at: input.moved_at.clone(),
            moves: false,
            redirects: false,
            again: None,
        };
    }
    PlacementDecision {
        backend: Backend::Pods,
        pods: PodsAction::Apply,
        placement: Placement::Pod,
        pool_port: input.pool_port,
        moved_at: Some(input.now.clone()),
        moves: true,
        redirects: false,
        again: input.pool_port.map(|_| DRAIN),
    }
}

/// The pool, or no pod at all for a function that lost its port: never another function's port.
fn pool(port: Option<u16>) -> Backend {
    port.map_or(Backend::Pods, Backend::Pool)
}

/// The current time in whole seconds, as a status has it.
pub(crate) fn whole_seconds(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

#[cfg(test)]
mod tests;
