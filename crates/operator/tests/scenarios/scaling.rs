//! Tests of `scale`: the autoscaler of a function, and the number of its pods.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{Patch, PatchParams};
use sampan_crd::{ConditionKind, WasmFunction};
use serde_json::{Value, json};

use crate::support::cluster::{cluster, until};
use crate::support::fault::{FaultAction, FaultInjector};
use crate::support::operator::{Operator, TestNamespace, reason};

async fn autoscaler(namespace: &TestNamespace) -> Option<HorizontalPodAutoscaler> {
    let autoscalers = namespace.api::<HorizontalPodAutoscaler>();
    autoscalers.get_opt("f").await.expect("an answer")
}

async fn replicas(namespace: &TestNamespace) -> Option<i32> {
    let deployment = namespace.api::<Deployment>().get("f").await;
    deployment.expect("the Deployment").spec?.replicas
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scaled_function_has_an_autoscaler_and_keeps_its_number_of_pods() {
    let namespace = TestNamespace::new(cluster().await, "scale").await;
    let faults = FaultInjector::clear();
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    let spec = json!({ "image": "registry.example/f:1", "replicas": 3 });
    namespace.make("f", spec).await.expect("it is accepted");
    namespace.wait_for_status("f").await;
    assert_eq!(replicas(&namespace).await, Some(3));

    let scale = json!({ "max": 5, "target": { "cpuUtilization": 70 } });
    namespace
        .change("f", json!({ "replicas": null, "scale": scale }))
        .await;
    until("the function has an autoscaler", async || {
        assert_eq!(replicas(&namespace).await, Some(3));
        autoscaler(&namespace).await.is_some()
    })
    .await;
    let made = autoscaler(&namespace).await.expect("it is there");
    assert_eq!(
        (made.spec.min_replicas, made.spec.max_replicas),
        (Some(1), 5)
    );
    let owners = made.metadata.owner_references.unwrap_or_default();
    assert_eq!(owners[0].kind, "WasmFunction");

    // Another change leaves the number to the autoscaler.
    namespace.change("f", json!({ "args": ["a"] })).await;
    namespace.wait_for_status("f").await;
    until("the pods have the argument", async || {
        let deployment = namespace.api::<Deployment>().get("f").await;
        let deployment = serde_json::to_value(deployment.expect("it is there")).expect("JSON");
        assert_eq!(deployment["spec"]["replicas"], 3);
        deployment["spec"]["template"]["spec"]["containers"][0]["args"][0] == "a"
    })
    .await;

    namespace
        .change("f", json!({ "replicas": 2, "scale": null }))
        .await;
    until("the number is fixed again", async || {
        autoscaler(&namespace).await.is_none() && replicas(&namespace).await == Some(2)
    })
    .await;
    operator.stop().await.expect("it ends");
}

/// Whether the operator sets the number of pods.
async fn sets_replicas(namespace: &TestNamespace) -> bool {
    let deployment = namespace.api::<Deployment>().get("f").await;
    let deployment = serde_json::to_value(deployment.expect("it is there")).expect("JSON");
    let entries = deployment["metadata"]["managedFields"].as_array();
    entries.into_iter().flatten().any(|entry| {
        entry["manager"] == "sampan-operator"
            && entry["fieldsV1"]["f:spec"].get("f:replicas").is_some()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_scaled_function_begins_with_its_fewest_pods() {
    let namespace = TestNamespace::new(cluster().await, "scale-new").await;
    let faults = FaultInjector::clear();
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    let spec = json!({ "image": "registry.example/f:1", "scale": { "min": 3, "max": 5 } });
    namespace.make("f", spec).await.expect("it is accepted");
    let deployments = namespace.api::<Deployment>();
    until("the Deployment is there", async || {
        let there = deployments.get_opt("f").await.expect("an answer");
        // At no time are there fewer.
        there.is_some_and(|there| {
            let replicas = there.spec.and_then(|spec| spec.replicas);
            assert_eq!(replicas, Some(3));
            true
        })
    })
    .await;
    until("the number is the autoscaler's", async || {
        assert_eq!(replicas(&namespace).await, Some(3));
        !sets_replicas(&namespace).await && autoscaler(&namespace).await.is_some()
    })
    .await;
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_without_pods_has_some_once_it_is_scaled() {
    let namespace = TestNamespace::new(cluster().await, "scale-zero").await;
    let faults = FaultInjector::clear();
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    let spec = json!({ "image": "registry.example/f:1", "replicas": 0 });
    namespace.make("f", spec).await.expect("it is accepted");
    namespace.wait_for_status("f").await;
    assert_eq!(replicas(&namespace).await, Some(0));
    namespace
        .change("f", json!({ "replicas": null, "scale": { "max": 2 } }))
        .await;
    until("it has a pod and an autoscaler", async || {
        replicas(&namespace).await == Some(1) && autoscaler(&namespace).await.is_some()
    })
    .await;
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_behind_does_not_reset_the_number_of_pods() {
    let namespace = TestNamespace::new(cluster().await, "scale-stale").await;
    let faults = FaultInjector::clear();
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    let spec = json!({ "image": "registry.example/f:1", "scale": { "max": 5 } });
    namespace.make("f", spec).await.expect("it is accepted");
    until("the number is the autoscaler's", async || {
        let made = namespace.api::<Deployment>().get_opt("f").await;
        made.expect("an answer").is_some() && !sets_replicas(&namespace).await
    })
    .await;
    operator.stop().await.expect("it ends");
    // As the autoscaler does.
    let patch = Patch::Merge(json!({ "spec": { "replicas": 4 } }));
    let (deployments, parameters) = (namespace.api::<Deployment>(), PatchParams::default());
    let scale = deployments.patch_scale("f", &parameters, &patch);
    scale.await.expect("it is scaled");

    // The next operator's cache has no Deployment.
    let faults = FaultInjector::with(|request| {
        let (path, query) = (request.uri().path(), request.uri().query());
        if !path.ends_with("/deployments") {
            return FaultAction::Pass;
        }
        if query.is_some_and(|query| query.contains("watch=")) {
            return FaultAction::Answer(500);
        }
        let list = json!({
            "kind": "DeploymentList", "apiVersion": "apps/v1",
            "metadata": { "resourceVersion": "1" }, "items": [],
        });
        FaultAction::Reply(list.to_string())
    });
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    namespace.change("f", json!({ "args": ["a"] })).await;
    until("the pods have the argument", async || {
        let deployment = deployments.get("f").await.expect("it is there");
        let deployment = serde_json::to_value(deployment).expect("JSON");
        assert_eq!(deployment["spec"]["replicas"], 4);
        deployment["spec"]["template"]["spec"]["containers"][0]["args"][0] == "a"
    })
    .await;
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scaled_function_without_the_right_to_autoscalers_says_so() {
    let namespace = TestNamespace::new(cluster().await, "scale-rights").await;
    let faults = FaultInjector::with(|request| {
        if request.uri().path().ends_with("/horizontalpodautoscalers") {
            FaultAction::Answer(403)
        } else {
            FaultAction::Pass
        }
    });
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    let spec = json!({ "image": "registry.example/f:1", "scale": { "max": 2 } });
    namespace.make("f", spec).await.expect("it is accepted");
    let refused = |it: &WasmFunction| reason(it, ConditionKind::Progressing) == "Forbidden";
    namespace.wait_for_status_where("f", refused).await;
    assert_eq!(replicas(&namespace).await, Some(1));
    faults.change(|_| FaultAction::Pass);
    until("the function has an autoscaler", async || {
        autoscaler(&namespace).await.is_some()
    })
    .await;
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_pods_and_a_pool_exclude_scaling() {
    let namespace = TestNamespace::new(cluster().await, "scale-rules").await;
    let refused = async |spec: Value, part: &str| {
        let error = namespace.make("f", spec).await;
        let error = error.expect_err("it is refused").to_string();
        assert!(error.contains(part), "{error}");
    };
    let with = |key: &str, value: Value| {
        let mut spec = json!({ "image": "registry.example/f:1", "scale": { "max": 2 } });
        spec[key] = value;
        spec
    };
    refused(with("replicas", json!(1)), "leave replicas out, or scale").await;
    refused(with("placement", json!("Pooled")), "a pool is scaled").await;
    refused(
        with("scale", json!({ "min": 3, "max": 2 })),
        "max is less than min",
    )
    .await;
    refused(with("scale", json!({ "min": 1 })), "spec.scale.max").await;
}
