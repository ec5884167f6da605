//! Tests of what a place depends on, and of what becomes of it after the objects were applied.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use sampan_crd::Placement::{self, Pod, Pooled};
use sampan_crd::WasmFunctionStatus;
use serde_json::{Value, json};

use super::{Place, pods_state};
use crate::apply::Applied;
use crate::backend::Backend;
use crate::placement::{PodsAction, PodsState};
use crate::status::Placed;

#[test]
fn pods_are_available_when_all_of_the_current_version_are() {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers pass temporary `json!` values"
    )]
    fn check(replicas: Value, status: Value, expected: PodsState) {
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": { "generation": 2 },
            "spec": { "replicas": replicas, "selector": {}, "template": {} }, "status": status,
        }))
        .expect("a Deployment");
        let found = pods_state(Some(&deployment), None);
        assert_eq!(found, expected, "{deployment:?}");
    }
    let status = |observed, updated, available| json!({ "observedGeneration": observed, "updatedReplicas": updated, "availableReplicas": available });
    check(json!(null), json!({}), PodsState::Starting);
    check(json!(null), status(2, 1, 1), PodsState::Available);
    check(json!(2), status(2, 2, 1), PodsState::Starting);
    check(json!(2), status(2, 1, 2), PodsState::Starting);
    check(json!(2), status(1, 2, 2), PodsState::Starting);
    check(json!(2), status(2, 2, 2), PodsState::Available);
    check(json!(0), status(2, 0, 0), PodsState::Available);
    assert_eq!(pods_state(None, None), PodsState::Absent);
}

#[test]
fn pods_of_another_version_are_not_available() {
    let check = |desired, expected| {
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": { "generation": 2, "annotations": { "sampan.dev/applied": "old" } },
            "spec": { "replicas": 1, "selector": {}, "template": {} },
            "status": { "observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 1 },
        }))
        .expect("a Deployment");
        assert_eq!(pods_state(Some(&deployment), desired), expected);
    };
    check(None, PodsState::Available);
    check(Some("old"), PodsState::Available);
    check(Some("new"), PodsState::Starting);
}

#[test]
fn a_new_port_and_a_move_into_the_pool_are_announced() {
    fn check(
        last: (Option<Placement>, Option<u16>),
        new: (Placement, Option<u16>),
        expected: bool,
    ) {
        let last = WasmFunctionStatus {
            placement: last.0,
            pool_port: last.1,
            ..WasmFunctionStatus::default()
        };
        let place = Place {
            backend: Backend::Pods,
            pods: PodsAction::Leave,
            placed: Placed {
                placement: Some(new.0),
                pool_port: new.1,
                moved_at: None,
            },
            moves: false,
            redirects: false,
            again: None,
            refusal: None,
            losers: Vec::new(),
        };
        assert_eq!(place.is_announced(&last), expected, "{last:?} {new:?}");
    }
    check((None, None), (Pod, None), false);
    check((None, None), (Pooled, Some(1)), true);
    check((Some(Pod), None), (Pod, Some(1)), true);
    check((Some(Pod), Some(1)), (Pod, Some(1)), false);
    check((Some(Pod), Some(1)), (Pooled, Some(1)), true);
    check((Some(Pooled), Some(1)), (Pooled, Some(2)), true);
    check((Some(Pooled), Some(1)), (Pod, Some(1)), false);
    check((Some(Pod), Some(1)), (Pod, None), false);
}

/// A place that a function moves to.
fn moving(placement: Placement, moves: bool, redirects: bool) -> Place {
    Place {
        backend: Backend::Pods,
        pods: PodsAction::Apply,
        placed: Placed {
            placement: Some(placement),
            pool_port: None,
            moved_at: Some(time(2)),
        },
        moves,
        redirects,
        again: None,
        refusal: None,
        losers: Vec::new(),
    }
}

fn time(second: i64) -> Time {
    Time(Timestamp::from_second(second).expect("a time"))
}

fn applied(has_service: bool, service_written: bool) -> Applied {
    Applied {
        has_service,
        service_written,
        ..Applied::default()
    }
}

#[test]
fn a_move_out_of_the_pool_counts_only_with_its_service() {
    let check = |placement, moves, has_service, expected| {
        let place = moving(placement, moves, false);
        let applied = applied(has_service, false);
        assert_eq!(place.is_done(&applied), expected, "{place:?}");
    };
    check(Pod, true, true, true);
    check(Pod, true, false, false);
    check(Pod, false, false, true);
    check(Pooled, true, false, true);
}

#[test]
fn the_drain_begins_when_the_service_was_changed() {
    let last = WasmFunctionStatus {
        moved_at: Some(time(1)),
        ..WasmFunctionStatus::default()
    };
    let check = |redirects, written, expected| {
        let place = moving(Pooled, false, redirects);
        let placed = place.placed_after(&applied(written, written), &last, time(3));
        assert_eq!(placed.moved_at, Some(time(expected)), "{place:?}");
    };
    check(true, true, 3);
    // Refused: nothing has moved, and the status stays as it is.
    check(true, false, 1);
    check(false, false, 2);
    check(false, true, 2);
}

#[test]
fn a_move_is_published_with_its_service() {
    let check = |moves, redirects, has_service, written, expected| {
        let place = moving(Pooled, moves, redirects);
        let moved = place.has_moved(&applied(has_service, written));
        assert_eq!(moved, expected, "{place:?}");
    };
    check(true, true, true, true, true);
    check(true, true, false, false, false);
    // Refused before, and announced then.
    check(false, true, true, true, true);
    // Interrupted after the Service.
    check(true, false, true, false, true);
    check(false, false, true, true, false);
}
