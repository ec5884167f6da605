//! Tests of the status for observed objects.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use sampan_crd::{ConditionKind, Placement, ValidFunction, WasmFunction, WasmFunctionStatus};
use serde_json::{Value, json};

use super::{Placed, StatusInput, status};
use crate::auto_functions::UnknownLoad;
use crate::build::Identity;
use crate::refusal::Refusal;

fn time(second: i64) -> Time {
    Time(Timestamp::from_second(second).expect("a time"))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "callers pass temporary `json!` values"
)]
fn function(spec: Value) -> ValidFunction {
    let resource: WasmFunction = serde_json::from_value(json!({
        "apiVersion": "sampan.dev/v1alpha1", "kind": "WasmFunction", "metadata": { "name": "f" }, "spec": spec,
    }))
    .expect("a resource");
    ValidFunction::of(&resource).expect("it is allowed")
}

fn deployment(wanted: i32, there: i32, updated: i32, available: i32) -> Deployment {
    serde_json::from_value(json!({
        "metadata": { "generation": 2 },
        "spec": { "replicas": wanted, "selector": {}, "template": {} },
        "status": { "observedGeneration": 2, "replicas": there, "updatedReplicas": updated, "availableReplicas": available },
    }))
    .expect("a deployment")
}

fn pulling(reason: &str, message: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": "p" },
        "status": { "containerStatuses": [{
            "name": "function", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": reason, "message": message } },
        }] },
    }))
    .expect("a pod")
}

fn make(
    deployment: Option<&Deployment>,
    pods: &[&Pod],
    refusal: Option<&Refusal>,
    previous: &WasmFunctionStatus,
    now: i64,
) -> WasmFunctionStatus {
    make_of(
        json!({ "image": "i" }),
        deployment,
        pods,
        refusal,
        previous,
        now,
    )
}

fn make_of(
    spec: Value,
    deployment: Option<&Deployment>,
    pods: &[&Pod],
    refusal: Option<&Refusal>,
    previous: &WasmFunctionStatus,
    now: i64,
) -> WasmFunctionStatus {
    let identity = Identity {
        namespace: "ns".to_owned(),
        name: "f".to_owned(),
        uid: "u".to_owned(),
    };
    let function = function(spec);
    let input = StatusInput {
        identity: &identity,
        generation: Some(1),
        function: Ok(&function),
        deployment,
        pods,
        warnings: &[],
        refusal,
        wanted: Some(Placement::Pod),
        unknown_load: None,
        placed: &Placed::default(),
        pool: None,
    };
    status(input, previous, &time(now))
}

fn status_and_reason(status: &WasmFunctionStatus, kind: ConditionKind) -> (String, String) {
    let condition = status.condition(kind).expect("it is always there");
    (condition.status.clone(), condition.reason.clone())
}

fn check(status: &WasmFunctionStatus, ready: (&str, &str), progressing: (&str, &str)) {
    let pair = |(status, reason): (&str, &str)| (status.to_owned(), reason.to_owned());
    assert_eq!(status_and_reason(status, ConditionKind::Ready), pair(ready));
    assert_eq!(
        status_and_reason(status, ConditionKind::Progressing),
        pair(progressing)
    );
}

#[test]
fn conditions_follow_the_pods() {
    let before = WasmFunctionStatus::default();
    let make = |deployment: &Deployment| make(Some(deployment), &[], None, &before, 1);
    check(
        &make(&deployment(2, 0, 0, 0)),
        ("False", "Starting"),
        ("True", "RollingOut"),
    );
    check(
        &make(&deployment(2, 2, 2, 1)),
        ("True", "SomeReady"),
        ("True", "RollingOut"),
    );
    check(
        &make(&deployment(2, 2, 2, 2)),
        ("True", "AllReady"),
        ("False", "Complete"),
    );
    check(
        &make(&deployment(2, 3, 1, 2)),
        ("True", "AllReady"),
        ("True", "RollingOut"),
    );
    check(
        &make(&deployment(0, 0, 0, 0)),
        ("False", "ScaledToZero"),
        ("False", "Complete"),
    );
    let mut stale = deployment(2, 2, 2, 2);
    stale.metadata.generation = Some(3);
    check(&make(&stale), ("True", "AllReady"), ("True", "RollingOut"));
}

#[test]
fn a_failure_is_reported_and_an_available_function_stays_ready() {
    let pod = pulling("ErrImagePull", "not found");
    let before = WasmFunctionStatus::default();
    let fresh = make(Some(&deployment(1, 1, 1, 0)), &[&pod], None, &before, 1);
    check(
        &fresh,
        ("False", "ImagePullFailed"),
        ("False", "ImagePullFailed"),
    );
    let rollout = make(Some(&deployment(1, 2, 1, 1)), &[&pod], None, &before, 1);
    check(&rollout, ("True", "AllReady"), ("False", "ImagePullFailed"));
}

#[test]
fn a_refusal_names_the_missing_permission() {
    let refusal = Refusal::Forbidden {
        verb: "patch",
        resource: "deployments.apps".to_owned(),
        namespace: "ns".to_owned(),
    };
    let status = make(None, &[], Some(&refusal), &WasmFunctionStatus::default(), 1);
    check(&status, ("False", "Forbidden"), ("False", "Forbidden"));
    let message = &status
        .condition(ConditionKind::Ready)
        .expect("ready")
        .message;
    assert!(
        message.contains("patch deployments.apps in namespace ns"),
        "{message}"
    );
}

#[test]
fn a_pod_that_is_not_admitted_has_advice_for_the_memory_limit_that_the_operator_set() {
    fn check(spec: &Value, expected: Option<&str>) {
        let refused: Deployment = serde_json::from_value(json!({ "status": { "conditions": [
            { "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" }] } }))
        .expect("a deployment");
        let status = make_of(
            spec.clone(),
            Some(&refused),
            &[],
            None,
            &WasmFunctionStatus::default(),
            1,
        );
        for kind in [ConditionKind::Ready, ConditionKind::Progressing] {
            let message = &status.condition(kind).expect("it is always there").message;
            match expected {
                Some(part) => assert!(
                    message.starts_with("exceeded quota; ") && message.contains(part),
                    "{spec}: {message}"
                ),
                None => assert_eq!(message, "exceeded quota", "{spec}"),
            }
        }
    }
    check(&json!({ "image": "i" }), Some("lower one of them"));
    check(
        &json!({ "image": "i", "limits": { "concurrency": 1 } }),
        Some("2304Mi, is limits.compileMemory (2Gi)"),
    );
    check(
        &json!({ "image": "i", "template": { "resources": { "limits": { "memory": "3Gi" } } } }),
        None,
    );
}

#[test]
fn a_vague_message_does_not_replace_a_detailed_one() {
    let deployment = deployment(1, 1, 1, 0);
    let detailed = pulling("ErrImagePull", "the registry says 404");
    let vague = pulling("ImagePullBackOff", "Back-off pulling image");
    let first = make(
        Some(&deployment),
        &[&detailed],
        None,
        &WasmFunctionStatus::default(),
        1,
    );
    let second = make(Some(&deployment), &[&vague], None, &first, 2);
    assert_eq!(second, first);
    let third = make(Some(&deployment), &[&detailed], None, &second, 3);
    assert_eq!(third, first);
}

#[test]
fn a_transition_records_its_time() {
    let down = make(
        Some(&deployment(1, 1, 1, 0)),
        &[],
        None,
        &WasmFunctionStatus::default(),
        1,
    );
    let up = make(Some(&deployment(1, 1, 1, 1)), &[], None, &down, 2);
    let at = |status: &WasmFunctionStatus, kind| {
        status
            .condition(kind)
            .map(|it| it.last_transition_time.clone())
    };
    assert_eq!(at(&up, ConditionKind::Ready), Some(time(2)));
    assert_eq!(at(&up, ConditionKind::Accepted), Some(time(1)));
}

#[test]
fn a_complete_change_says_why_the_load_is_unknown() {
    let identity = Identity {
        namespace: "ns".to_owned(),
        name: "f".to_owned(),
        uid: "u".to_owned(),
    };
    let function = function(json!({ "image": "i", "placement": "Auto" }));
    let check = |available: i32, expected: &str, says_it: bool| {
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": { "generation": 1 }, "spec": { "replicas": 1, "selector": {}, "template": {} },
            "status": { "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available },
        }))
        .expect("a Deployment");
        let input = StatusInput {
            identity: &identity,
            generation: Some(1),
            function: Ok(&function),
            deployment: Some(&deployment),
            pods: &[],
            warnings: &[],
            refusal: None,
            wanted: Some(Placement::Pod),
            unknown_load: Some(UnknownLoad::NoApi),
            placed: &Placed {
                placement: Some(Placement::Pod),
                ..Placed::default()
            },
            pool: None,
        };
        let status = status(input, &WasmFunctionStatus::default(), &time(1));
        let progressing = status
            .condition(ConditionKind::Progressing)
            .expect("it is set");
        assert_eq!(progressing.reason, expected);
        let message = &progressing.message;
        assert_eq!(
            message.contains("install metrics-server"),
            says_it,
            "{message}"
        );
        let ready = status.condition(ConditionKind::Ready).expect("it is set");
        assert!(
            !ready.message.contains("metrics-server"),
            "{}",
            ready.message
        );
    };
    check(1, "Complete", true);
    check(0, "RollingOut", false);
}
