//! Tests of each transition, and of an interruption at each point of it.

mod auto;
mod backend;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use sampan_crd::Placement::{self, Pod, Pooled};
use sampan_crd::PlacementPolicy;

use super::{Backend, DRAIN, PlacementInput, PodsAction, PodsState, decide};

const NOW: i64 = 1_000_000;
const PORT: u16 = 10_007;
const POOL: Backend = Backend::Pool(PORT);

fn time(second: i64) -> Time {
    Time(Timestamp::from_second(second).expect("a time"))
}

/// A function that was served by its pods since it was made.
fn in_pods(wanted: Placement) -> PlacementInput {
    PlacementInput {
        wanted,
        policy: match wanted {
            Pod => PlacementPolicy::Pod,
            Pooled => PlacementPolicy::Pooled,
        },
        placement: Some(Pod),
        known: true,
        pool_port: (wanted == Pooled).then_some(PORT),
        moved_at: None,
        service: Some(Backend::Pods),
        unconfirmed: false,
        pods: PodsState::Available,
        pool_serves: false,
        now: time(NOW),
    }
}

/// A function that moved to the pool some seconds ago.
fn in_pool(wanted: Placement, moved: i64) -> PlacementInput {
    PlacementInput {
        placement: Some(Pooled),
        pool_port: Some(PORT),
        moved_at: Some(time(NOW - moved)),
        service: Some(POOL),
        pool_serves: true,
        ..in_pods(wanted)
    }
}

/// The new place, what becomes of the pods, the port, the seconds since the move, and whether it
/// moves now.
type Row = (
    Backend,
    PodsAction,
    Placement,
    Option<u16>,
    Option<i64>,
    bool,
);

#[track_caller]
fn check(input: &PlacementInput, expected: Row, again: Option<Duration>) {
    let decision = decide(input);
    let moved = decision
        .moved_at
        .map(|moved_at| NOW - moved_at.0.as_second());
    let found = (
        decision.backend,
        decision.pods,
        decision.placement,
        decision.pool_port,
        moved,
        decision.moves,
    );
    assert_eq!(found, expected, "{input:?}");
    assert_eq!(decision.again, again, "{input:?}");
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_function_with_pods_stays_as_it_was() {
    let apply = (Backend::Pods, PodsAction::Apply, Pod, None, None, false);
    check(&in_pods(Pod), apply, None);
    for (known, service, pods) in [
        (false, None, PodsState::Absent),
        (true, None, PodsState::Absent),
        (true, Some(Backend::Pods), PodsState::Starting),
    ] {
        let input = PlacementInput {
            placement: None,
            known,
            service,
            pods,
            ..in_pods(Pod)
        };
        check(&input, apply, None);
    }
}

#[test]
fn a_new_pooled_function_has_its_service_at_the_pool_at_once() {
    let new = PlacementInput {
        placement: None,
        known: false,
        service: None,
        pods: PodsState::Absent,
        ..in_pods(Pooled)
    };
    let served = (POOL, PodsAction::Leave, Pooled, Some(PORT), None, false);
    check(&new, served, None);
    // Interrupted after the status, and after the Service.
    let known = PlacementInput {
        placement: Some(Pooled),
        known: true,
        ..new.clone()
    };
    check(&known, served, None);
    let with_service = PlacementInput {
        service: Some(POOL),
        ..known
    };
    check(&with_service, served, None);
    // It had to wait for its port, with a Service that led nowhere.
    let waited = PlacementInput {
        service: Some(Backend::Pods),
        ..new.clone()
    };
    check(&waited, served, None);
    // No port is free.
    let portless = PlacementInput {
        pool_port: None,
        ..new
    };
    let waits = (Backend::Pods, PodsAction::Leave, Pod, None, None, false);
    check(&portless, waits, None);
}

#[test]
fn a_function_moves_to_the_pool_when_every_pod_of_the_pool_serves_it() {
    // The port was assigned, and the pool loads it. The Deployment stays as it is.
    let input = in_pods(Pooled);
    let waits = (
        Backend::Pods,
        PodsAction::Leave,
        Pod,
        Some(PORT),
        None,
        false,
    );
    check(&input, waits, None);
    // A function from before there were placements.
    let before = PlacementInput {
        placement: None,
        ..input.clone()
    };
    check(&before, waits, None);
    // A status or a list that is behind: the Deployment shows that it is served there.
    let unknown = PlacementInput {
        known: false,
        ..before
    };
    check(&unknown, waits, None);
    // The pool serves it.
    let serves = PlacementInput {
        pool_serves: true,
        ..input.clone()
    };
    let moves = (POOL, PodsAction::Leave, Pooled, Some(PORT), Some(0), true);
    check(&serves, moves, Some(DRAIN));
    // Its pods are gone already: there is nothing to drain.
    let gone = PlacementInput {
        pods: PodsState::Absent,
        ..serves.clone()
    };
    check(&gone, moves, None);
    // Interrupted after the Service only: the pool is not known to serve it, so its pods go on.
    let interrupted = PlacementInput {
        service: Some(POOL),
        ..input
    };
    let back = (
        Backend::Pods,
        PodsAction::Leave,
        Pod,
        Some(PORT),
        Some(0),
        false,
    );
    check(&interrupted, back, Some(DRAIN));
    // Without a port it cannot move.
    let portless = PlacementInput {
        pool_port: None,
        ..serves
    };
    let stays = (Backend::Pods, PodsAction::Leave, Pod, None, None, false);
    check(&portless, stays, None);
}

#[test]
fn the_pods_of_a_moved_function_drain_and_end() {
    let drains = |ago| {
        (
            POOL,
            PodsAction::Leave,
            Pooled,
            Some(PORT),
            Some(ago),
            false,
        )
    };
    check(&in_pool(Pooled, 0), drains(0), Some(seconds(16)));
    check(&in_pool(Pooled, 15), drains(15), Some(seconds(1)));
    let removed = |ago| {
        (
            POOL,
            PodsAction::Remove,
            Pooled,
            Some(PORT),
            Some(ago),
            false,
        )
    };
    check(&in_pool(Pooled, 16), removed(16), None);
    check(&in_pool(Pooled, 100_000), removed(100_000), None);
    // Interrupted after the status: the Service moves only now, so the drain begins now.
    for service in [Some(Backend::Pods), None] {
        let input = PlacementInput {
            service,
            ..in_pool(Pooled, 100)
        };
        check(&input, drains(0), Some(DRAIN));
    }
    // A clock that was set back.
    check(&in_pool(Pooled, -50), drains(-50), Some(DRAIN));
    // A restored status has no time.
    let restored = PlacementInput {
        moved_at: None,
        ..in_pool(Pooled, 0)
    };
    check(&restored, drains(0), Some(DRAIN));
    // They are gone.
    let gone = PlacementInput {
        pods: PodsState::Absent,
        ..in_pool(Pooled, 100)
    };
    check(&gone, drains(100), None);
    // The pool's reports do not count any more: there is no other place.
    let silent = PlacementInput {
        pool_serves: false,
        ..gone
    };
    check(&silent, drains(100), None);
}

#[test]
fn a_function_moves_back_when_its_pods_are_available() {
    let waits = (
        POOL,
        PodsAction::Apply,
        Pooled,
        Some(PORT),
        Some(100),
        false,
    );
    for pods in [PodsState::Absent, PodsState::Starting] {
        let input = PlacementInput {
            pods,
            ..in_pool(Pod, 100)
        };
        check(&input, waits, None);
    }
    let moves = (
        Backend::Pods,
        PodsAction::Apply,
        Pod,
        Some(PORT),
        Some(0),
        true,
    );
    check(&in_pool(Pod, 100), moves, Some(DRAIN));
    // Asked back while its pods still drain: they are available at once.
    check(&in_pool(Pod, 3), moves, Some(DRAIN));
    // Interrupted after the Service: it moves once more.
    let interrupted = PlacementInput {
        service: Some(Backend::Pods),
        ..in_pool(Pod, 100)
    };
    check(&interrupted, moves, Some(DRAIN));
}

#[test]
fn the_port_of_a_function_that_moved_back_is_kept_until_it_has_drained() {
    let moved = |ago| PlacementInput {
        placement: Some(Pod),
        service: Some(Backend::Pods),
        ..in_pool(Pod, ago)
    };
    let kept = |ago| {
        (
            Backend::Pods,
            PodsAction::Apply,
            Pod,
            Some(PORT),
            Some(ago),
            false,
        )
    };
    check(&moved(0), kept(0), Some(DRAIN));
    check(&moved(15), kept(15), Some(seconds(1)));
    let cleared = |ago| {
        (
            Backend::Pods,
            PodsAction::Apply,
            Pod,
            None,
            Some(ago),
            false,
        )
    };
    check(&moved(16), cleared(16), None);
    // Its Service was still at the pool.
    let interrupted = PlacementInput {
        service: Some(POOL),
        ..moved(100)
    };
    check(&interrupted, kept(0), Some(DRAIN));
    // It never moved, and does not ask for the pool any more.
    let never = PlacementInput {
        pool_port: Some(PORT),
        ..in_pods(Pod)
    };
    let at_once = (Backend::Pods, PodsAction::Apply, Pod, None, None, false);
    check(&never, at_once, None);
    // It asks for the pool again while it drains there, and the pool serves the new version.
    let again = PlacementInput {
        wanted: Pooled,
        ..moved(3)
    };
    let moves = (POOL, PodsAction::Leave, Pooled, Some(PORT), Some(0), true);
    check(&again, moves, Some(DRAIN));
}

#[test]
fn a_function_that_loses_its_port_never_reaches_that_of_another_one() {
    let other = Backend::Pool(PORT + 1);
    let changed = PlacementInput {
        service: Some(other),
        pods: PodsState::Absent,
        ..in_pool(Pooled, 100)
    };
    let moved = (
        POOL,
        PodsAction::Leave,
        Pooled,
        Some(PORT),
        Some(100),
        false,
    );
    check(&changed, moved, None);
    let lost = PlacementInput {
        pool_port: None,
        ..changed
    };
    let nowhere = (
        Backend::Pods,
        PodsAction::Leave,
        Pooled,
        None,
        Some(100),
        false,
    );
    check(&lost, nowhere, None);
}
