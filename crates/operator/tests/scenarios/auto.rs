//! Tests of functions with the placement `Auto`: a load moves them out of the pool, and quiet moves them back.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams};
use sampan_crd::{ConditionKind, Placement};
use serde_json::{Value, json};

use crate::pools::{ReportingPod, place, port, target};
use crate::support::cluster::{cluster, until};
use crate::support::fault::{FaultAction, FaultInjector};
use crate::support::operator::{Operator, TestNamespace, message, reason};

fn auto(settings: &Value) -> Value {
    json!({ "image": "registry.example/f:1", "placement": "Auto", "auto": settings })
}

/// Waits until an event of a function with this reason has these words.
async fn wait_for_event(namespace: &TestNamespace, wanted: &str, words: &str) {
    let events = namespace.api::<Event>();
    until(&format!("there is an event {wanted}"), async || {
        let all = events.list(&ListParams::default()).await;
        let mut all = all.expect("an answer").items.into_iter();
        all.any(|event| {
            event.reason.as_deref() == Some(wanted)
                && event.note.is_some_and(|note| note.contains(words))
        })
    })
    .await;
}

/// Makes a ready pod of the function, and reports the Deployment as available.
async fn start_pod(namespace: &TestNamespace) {
    namespace
        .start_pod("f-1", ("sampan.dev/function", "f"), None)
        .await;
    let deployments = namespace.api::<Deployment>();
    let deployment = deployments.get("f").await.expect("the Deployment");
    let status = json!({ "status": {
        "observedGeneration": deployment.metadata.generation,
        "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
    } });
    deployments
        .patch_status("f", &PatchParams::default(), &Patch::Merge(&status))
        .await
        .expect("its status");
}

/// What metrics-server answers for a pod that uses a thousandth of a processor.
fn quiet_metrics() -> String {
    json!({
        "kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {},
        "items": [{
            "metadata": { "name": "f-1" }, "timestamp": Timestamp::now().to_string(), "window": "15s",
            "containers": [{ "name": "function", "usage": { "cpu": "1000000n", "memory": "1Mi" } }],
        }],
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_moves_out_under_load_and_back_only_when_its_load_is_known_to_be_low() {
    let namespace = TestNamespace::new(cluster().await, "auto").await;
    let pool = ReportingPod::start(&namespace, "127.0.77.2").await;
    // This API server has no metrics.k8s.io.
    let faults = FaultInjector::clear();
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    let settings = json!({ "moveOut": "500m", "window": "10s", "quiet": "10s" });
    namespace
        .make("f", auto(&settings))
        .await
        .expect("it is accepted");
    pool.serve(&namespace, "f").await;
    namespace
        .wait_for_status_where("f", |function| {
            reason(function, ConditionKind::Progressing) == "Complete"
                && place(function) == Some(Placement::Pooled)
        })
        .await;
    let deployments = namespace.api::<Deployment>();
    let there = deployments.get_opt("f").await.expect("an answer");
    assert!(there.is_none());

    pool.use_a_processor();
    wait_for_event(&namespace, "MoveToPods", "more than moveOut, 500m").await;
    until("its Deployment is made", async || {
        let there = deployments.get_opt("f").await.expect("an answer");
        there.is_some()
    })
    .await;
    // Until its pods answer, the pool goes on.
    assert!(target(&namespace, "f").await.is_some());
    start_pod(&namespace).await;
    namespace
        .wait_for_status_where("f", |function| place(function) == Some(Placement::Pod))
        .await;
    assert_eq!(target(&namespace, "f").await, None);

    wait_for_event(&namespace, "LoadUnknown", "install metrics-server").await;
    let function = namespace
        .wait_for_status_where("f", |function| {
            message(function, ConditionKind::Progressing).contains("metrics-server")
                && port(function).is_none()
        })
        .await;
    assert_eq!(place(&function), Some(Placement::Pod));
    assert_eq!(reason(&function, ConditionKind::Progressing), "Complete");

    faults.change(|request| {
        if request.uri().path().starts_with("/apis/metrics.k8s.io/") {
            FaultAction::Reply(quiet_metrics())
        } else {
            FaultAction::Pass
        }
    });
    wait_for_event(&namespace, "MoveToPool", "less than moveBack, 100m").await;
    // Until the pool takes it back, its pods are kept as desired.
    namespace.change("f", json!({ "args": ["a"] })).await;
    until("its pods have the argument", async || {
        let deployment = deployments.get("f").await.expect("the Deployment");
        let deployment = serde_json::to_value(deployment).expect("JSON");
        deployment["spec"]["template"]["spec"]["containers"][0]["args"][0] == "a"
    })
    .await;
    pool.serve(&namespace, "f").await;
    let function = namespace
        .wait_for_status_where("f", |function| {
            reason(function, ConditionKind::Progressing) == "Complete"
                && place(function) == Some(Placement::Pooled)
        })
        .await;
    // The status is written before the Service is moved.
    until("its Service leads to the pool", async || {
        target(&namespace, "f").await == port(&function)
    })
    .await;
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_refuses_settings_without_their_placement() {
    let namespace = TestNamespace::new(cluster().await, "auto-refused").await;
    let check = async |spec: Value, words: &str| {
        let refused = namespace.make("f", spec.clone()).await;
        let refused = refused.expect_err("it is refused").to_string();
        assert!(refused.contains(words), "{spec}: {refused}");
    };
    let image = "registry.example/f:1";
    check(
        json!({ "image": image, "auto": {} }),
        "only with placement: Auto",
    )
    .await;
    check(
        json!({ "image": image, "placement": "Pooled", "auto": {} }),
        "only with placement: Auto",
    )
    .await;
    check(
        json!({ "image": image, "placement": "Auto", "replicas": 0 }),
        "at least 1",
    )
    .await;
    check(
        json!({ "image": image, "placement": "Auto", "metrics": {} }),
        "leave metrics out",
    )
    .await;
    check(auto(&json!({ "moveOut": "a half" })), "spec.auto.moveOut").await;
    let settings = json!({ "moveOut": "1.5", "moveBack": 1, "window": "30s", "quiet": "1h" });
    let mut spec = auto(&settings);
    spec["replicas"] = 3.into();
    namespace.make("f", spec).await.expect("it is accepted");
}
