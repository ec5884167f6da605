//! Tests of the status of functions in the pool, and of functions that move.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use sampan_crd::pool_report::{PoolCause, PoolFailure, PooledFunction, Serving};
use sampan_crd::{ConditionKind, Placement, ValidFunction, WasmFunction, WasmFunctionStatus};
use serde_json::json;

use crate::build::Identity;
use crate::pool_reports::{FunctionReport, Reach};
use crate::pool_view::{PoolPod, PoolView};
use crate::refusal::Refusal;
use crate::status::{Placed, StatusInput, status};

const PORT: u16 = 10_000;
/// The current generation of the resource.
const CURRENT: i64 = 4;

fn function(placement: Placement) -> ValidFunction {
    let resource: WasmFunction = serde_json::from_value(json!({
        "apiVersion": "sampan.dev/v1alpha1", "kind": "WasmFunction", "metadata": { "name": "f" },
        "spec": { "image": "i", "placement": placement },
    }))
    .expect("a resource");
    ValidFunction::of(&resource).expect("it is allowed")
}

/// A pod of the pool that serves a generation at a port.
fn pod(name: &str, serves: Option<(i64, u16)>) -> PoolPod {
    PoolPod {
        name: name.to_owned(),
        ready: true,
        report: FunctionReport {
            reach: Reach::Answers,
            function: Some(PooledFunction {
                uid: "u".to_owned(),
                name: "f".to_owned(),
                generation: CURRENT,
                serving: serves.map(|(generation, port)| Serving {
                    generation,
                    port,
                    digest: format!("sha256:{generation}"),
                }),
                ..PooledFunction::default()
            }),
        },
    }
}

fn failing(mut pod: PoolPod, cause: PoolCause, message: &str) -> PoolPod {
    let function = pod.report.function.as_mut().expect("a report");
    function.failure = Some(PoolFailure {
        cause,
        message: message.to_owned(),
    });
    pod
}

fn view(pods: Vec<PoolPod>) -> PoolView {
    PoolView {
        pods,
        ..PoolView::default()
    }
}

fn placed(placement: Placement) -> Placed {
    Placed {
        placement: Some(placement),
        pool_port: Some(PORT),
        moved_at: None,
    }
}

fn available() -> Deployment {
    serde_json::from_value(json!({
        "metadata": { "generation": 1 }, "spec": { "replicas": 1, "selector": {}, "template": {} },
        "status": { "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1 },
    }))
    .expect("a Deployment")
}

fn make(
    wanted: Placement,
    placed: &Placed,
    pool: &PoolView,
    deployment: Option<&Deployment>,
    refusal: Option<&Refusal>,
) -> WasmFunctionStatus {
    let identity = Identity {
        namespace: "ns".to_owned(),
        name: "f".to_owned(),
        uid: "u".to_owned(),
    };
    let function = function(wanted);
    let input = StatusInput {
        identity: &identity,
        generation: Some(CURRENT),
        function: Ok(&function),
        deployment,
        pods: &[],
        warnings: &[],
        refusal,
        wanted: Some(wanted),
        unknown_load: None,
        placed,
        pool: Some(pool),
    };
    let now = Time(Timestamp::from_second(1).expect("a time"));
    status(input, &WasmFunctionStatus::default(), &now)
}

#[track_caller]
fn check(status: &WasmFunctionStatus, ready: (&str, &str), progressing: (&str, &str), part: &str) {
    let found = |kind| {
        let condition = status.condition(kind).expect("it is always there");
        (condition.status.as_str(), condition.reason.as_str())
    };
    assert_eq!(found(ConditionKind::Accepted), ("True", "Valid"));
    assert_eq!(found(ConditionKind::Ready), ready);
    assert_eq!(found(ConditionKind::Progressing), progressing);
    let texts: Vec<&str> = status
        .conditions
        .iter()
        .map(|it| it.message.as_str())
        .collect();
    assert!(
        texts.iter().any(|text| text.contains(part)),
        "{texts:?} lack {part}"
    );
}

const COMPLETE: (&str, &str) = ("False", "Complete");
const ROLLING: (&str, &str) = ("True", "RollingOut");
const ALL_READY: (&str, &str) = ("True", "AllReady");
const STARTING: (&str, &str) = ("False", "Starting");

#[test]
fn conditions_follow_the_pods_of_the_pool() {
    let make = |pods| {
        make(
            Placement::Pooled,
            &placed(Placement::Pooled),
            &view(pods),
            None,
            None,
        )
    };
    let (current, old) = (Some((CURRENT, PORT)), Some((CURRENT - 1, PORT)));
    let both = make(vec![pod("a", current), pod("b", current)]);
    check(&both, ALL_READY, COMPLETE, "2 of 2 pods of the pool");
    assert_eq!(both.pods.as_deref(), Some("2/2"));
    assert_eq!(both.digest.as_deref(), Some("sha256:4"));
    assert_eq!(both.selector, None);
    assert_eq!(both.placement, Some(Placement::Pooled));
    assert_eq!(both.pool_port, Some(PORT));
    let counts = |status: &WasmFunctionStatus| {
        let WasmFunctionStatus {
            replicas,
            ready_replicas,
            updated_replicas,
            ..
        } = status;
        [*replicas, *ready_replicas, *updated_replicas]
    };
    assert_eq!(counts(&both), [2, 2, 2]);

    let half = make(vec![pod("a", current), pod("b", old)]);
    check(
        &half,
        ALL_READY,
        ROLLING,
        "1 of 2 pods of the pool serve the current",
    );
    assert_eq!(half.pods.as_deref(), Some("1/2"));
    assert_eq!(counts(&half), [2, 2, 1]);

    let missing = make(vec![pod("a", current), pod("b", None)]);
    check(&missing, ("True", "SomeReady"), ROLLING, "1 of 2");
    // Another port is another function's.
    let elsewhere = make(vec![pod("a", Some((CURRENT, PORT + 1)))]);
    check(&elsewhere, STARTING, ROLLING, "0 of 1");
    check(
        &make(vec![]),
        STARTING,
        ROLLING,
        "no pod of the pool is ready",
    );
    let starting = PoolPod {
        ready: false,
        ..pod("a", current)
    };
    check(
        &make(vec![starting]),
        STARTING,
        ROLLING,
        "no pod of the pool is ready",
    );
}

#[test]
fn the_last_report_of_a_pod_counts_while_it_is_ready() {
    let silent = |serves| {
        let mut silent = pod("b", serves);
        silent.report.reach = Reach::Silent;
        silent
    };
    let make = |pods| {
        make(
            Placement::Pooled,
            &placed(Placement::Pooled),
            &view(pods),
            None,
            None,
        )
    };
    let (current, old) = (Some((CURRENT, PORT)), Some((CURRENT - 1, PORT)));
    // The operator cannot reach it, and it goes on serving.
    let status = make(vec![pod("a", current), silent(current)]);
    check(&status, ALL_READY, COMPLETE, "2 of 2 pods of the pool");
    // What it serves of a new version is not known.
    let status = make(vec![pod("a", current), silent(old)]);
    let advice = "no report from b: check that NetworkPolicies";
    check(&status, ALL_READY, ROLLING, advice);
    assert_eq!(status.pods.as_deref(), Some("1/2"));
    let status = make(vec![silent(None)]);
    check(&status, STARTING, ROLLING, advice);
    // A Service moves only on what is known now.
    let generation = Some(CURRENT);
    assert!(view(vec![pod("a", current)]).serves(generation, Some(PORT)));
    assert!(!view(vec![silent(current)]).serves(generation, Some(PORT)));
}

#[test]
fn a_version_that_is_not_served_has_the_pools_cause() {
    let check_cause = |cause, reason| {
        for (serves, ready) in [
            (None, ("False", reason)),
            (Some((CURRENT - 1, PORT)), ALL_READY),
        ] {
            let pods = vec![failing(pod("a", serves), cause, "what failed")];
            let status = make(
                Placement::Pooled,
                &placed(Placement::Pooled),
                &view(pods),
                None,
                None,
            );
            check(&status, ready, ("False", reason), "what failed");
        }
    };
    check_cause(PoolCause::Invalid, "Invalid");
    check_cause(PoolCause::ImagePullFailed, "ImagePullFailed");
    check_cause(PoolCause::InvalidImageName, "InvalidImageName");
    check_cause(PoolCause::StartFailed, "StartFailed");
    check_cause(PoolCause::ConfigurationMissing, "ConfigurationMissing");
    check_cause(PoolCause::Forbidden, "Forbidden");
    check_cause(PoolCause::PortUnavailable, "PortUnavailable");
    // A failure of an older version does not concern the current one.
    let mut old = failing(pod("a", None), PoolCause::StartFailed, "m");
    old.report.function.as_mut().expect("a report").generation = CURRENT - 1;
    let status = make(
        Placement::Pooled,
        &placed(Placement::Pooled),
        &view(vec![old]),
        None,
        None,
    );
    check(&status, STARTING, ROLLING, "0 of 1");
}

#[test]
fn a_pool_that_does_not_start_is_the_cause() {
    let stuck: Pod = serde_json::from_value(json!({
        "metadata": { "name": "p" },
        "status": { "containerStatuses": [{
            "name": "pool", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": "ErrImagePull", "message": "not found" } },
        }] },
    }))
    .expect("a pod");
    let pool = PoolView {
        objects: vec![Arc::new(stuck)],
        ..view(vec![])
    };
    let placed = placed(Placement::Pooled);
    let status = make(Placement::Pooled, &placed, &pool, None, None);
    let cause = ("False", "ImagePullFailed");
    check(
        &status,
        cause,
        cause,
        "the namespace's pool: container pool: not found",
    );

    let refusals = [
        (Refusal::PoolDisabled, "PoolDisabled", "pool.image"),
        (Refusal::PoolFull, "PoolFull", "all 20000 ports"),
    ];
    for (refusal, reason, part) in refusals {
        let status = make(
            Placement::Pooled,
            &placed,
            &view(vec![]),
            None,
            Some(&refusal),
        );
        check(&status, ("False", reason), ("False", reason), part);
    }
}

#[test]
fn a_move_is_complete_when_the_service_has_moved() {
    let (pods, serving) = (available(), view(vec![pod("a", Some((CURRENT, PORT)))]));
    let loading = view(vec![pod("a", None)]);
    let (in_pods, in_pool) = (placed(Placement::Pod), placed(Placement::Pooled));
    // Into the pool: its pods answer meanwhile.
    let status = make(Placement::Pooled, &in_pods, &loading, Some(&pods), None);
    check(&status, ALL_READY, ROLLING, "0 of 1 pods of the pool");
    assert_eq!(status.pods.as_deref(), Some("1/1"));
    assert!(status.selector.is_some());
    let status = make(Placement::Pooled, &in_pods, &serving, Some(&pods), None);
    check(&status, ALL_READY, ROLLING, "the Service moves to it");
    let status = make(Placement::Pooled, &in_pool, &serving, Some(&pods), None);
    check(&status, ALL_READY, COMPLETE, "every pod of the pool");
    // A version that the pool cannot load stays out of it.
    let broken = view(vec![failing(
        pod("a", None),
        PoolCause::StartFailed,
        "no export",
    )]);
    let status = make(Placement::Pooled, &in_pods, &broken, Some(&pods), None);
    check(&status, ALL_READY, ("False", "StartFailed"), "no export");
    // Out of it.
    let status = make(Placement::Pod, &in_pool, &serving, None, None);
    check(
        &status,
        ALL_READY,
        ROLLING,
        "the cluster has not observed it",
    );
    let status = make(Placement::Pod, &in_pool, &serving, Some(&pods), None);
    check(&status, ALL_READY, ROLLING, "its Service moves to them");
    let status = make(Placement::Pod, &in_pods, &serving, Some(&pods), None);
    check(
        &status,
        ALL_READY,
        COMPLETE,
        "every pod runs the current version",
    );
}
