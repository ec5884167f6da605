//! Tests of children that other clients change, and of functions without changes.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use sampan_crd::ConditionKind;
use serde_json::json;

use crate::support::cluster::{cluster, until};
use crate::support::fault::FaultInjector;
use crate::support::operator::{Operator, TestNamespace, message, reason};

#[tokio::test(flavor = "multi_thread")]
async fn scenario_28_children_that_were_edited_or_deleted_are_repaired() {
    let namespace = TestNamespace::new(cluster().await, "repair").await;
    let operator = Operator::start(
        &namespace.admin,
        &FaultInjector::clear(),
        &namespace.name,
        None,
    );
    let spec = json!({ "image": "registry.example/f:1", "ingress": { "host": "f.example" } });
    namespace.make("f", spec).await.expect("it is accepted");
    namespace.wait_for_status("f").await;
    let (deployments, services, ingresses) = (
        namespace.api::<Deployment>(),
        namespace.api::<Service>(),
        namespace.api::<Ingress>(),
    );
    let expected = namespace.objects("f").await;

    let edit = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "function", "image": "evil" }] } } } });
    deployments
        .patch("f", &PatchParams::default(), &Patch::Strategic(&edit))
        .await
        .expect("edited");
    let edit = json!({ "spec": { "selector": { "sampan.dev/function": "other" } } });
    services
        .patch("f", &PatchParams::default(), &Patch::Merge(&edit))
        .await
        .expect("edited");
    let edit = json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": "me" }, "ownerReferences": null } });
    ingresses
        .patch("f", &PatchParams::default(), &Patch::Merge(&edit))
        .await
        .expect("edited");
    // The Ingress has no owner now, so it is not touched until its label is back.
    let edit =
        json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": "sampan-operator" } } });
    ingresses
        .patch("f", &PatchParams::default(), &Patch::Merge(&edit))
        .await
        .expect("edited");
    until("the edits are undone", async || {
        namespace.objects("f").await["deployment"]["spec"] == expected["deployment"]["spec"]
            && namespace.objects("f").await["service"]["spec"] == expected["service"]["spec"]
            && namespace.objects("f").await["ingress"]["metadata"]["ownerReferences"].is_array()
    })
    .await;

    for _ in 0..2 {
        deployments
            .delete("f", &DeleteParams::background())
            .await
            .expect("deleted");
        services
            .delete("f", &DeleteParams::default())
            .await
            .expect("deleted");
        ingresses
            .delete("f", &DeleteParams::default())
            .await
            .expect("deleted");
        until("they are made again", async || {
            let made = namespace.objects("f").await;
            ["deployment", "service", "ingress"]
                .iter()
                .all(|kind| made[kind] == expected[kind])
        })
        .await;
    }
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_28_foreign_fields_and_replicas_are_kept() {
    let namespace = TestNamespace::new(cluster().await, "replicas").await;
    let operator = Operator::start(
        &namespace.admin,
        &FaultInjector::clear(),
        &namespace.name,
        None,
    );
    namespace
        .make("f", json!({ "image": "registry.example/f:1" }))
        .await
        .expect("it is accepted");
    namespace.wait_for_status("f").await;
    let deployments = namespace.api::<Deployment>();
    // As an autoscaler does, and as a user who restarts a rollout.
    let scale = json!({ "spec": { "replicas": 7 } });
    deployments
        .patch_scale("f", &PatchParams::default(), &Patch::Merge(&scale))
        .await
        .expect("scaled");
    let note = json!({ "spec": { "template": { "metadata": { "annotations": { "kubectl.kubernetes.io/restartedAt": "now" } } } } });
    deployments
        .patch("f", &PatchParams::default(), &Patch::Merge(&note))
        .await
        .expect("restarted");
    let reconciles = operator.metrics.reconciles();
    until("several reconciles are over", async || {
        operator.metrics.reconciles() > reconciles + 5
    })
    .await;
    let kept = async |expected: i32| {
        let deployment = deployments.get("f").await.expect("the Deployment");
        let spec = deployment.spec.expect("its spec");
        let annotations = spec
            .template
            .metadata
            .expect("metadata")
            .annotations
            .expect("annotations");
        spec.replicas == Some(expected)
            && annotations.contains_key("kubectl.kubernetes.io/restartedAt")
    };
    assert!(kept(7).await);
    // A change of the function changes its own fields.
    namespace.change("f", json!({ "args": ["-v"] })).await;
    namespace.wait_for_status("f").await;
    assert!(kept(7).await);
    namespace.change("f", json!({ "replicas": 3 })).await;
    namespace.wait_for_status("f").await;
    assert!(kept(3).await);
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_28_a_foreign_object_is_never_adopted() {
    let namespace = TestNamespace::new(cluster().await, "taken").await;
    let services = namespace.api::<Service>();
    let theirs: Service = serde_json::from_value(json!({
        "metadata": { "name": "f" }, "spec": { "selector": { "app": "theirs" }, "ports": [{ "port": 81 }] },
    }))
    .expect("a Service");
    let theirs = services
        .create(&PostParams::default(), &theirs)
        .await
        .expect("made");
    let operator = Operator::start(
        &namespace.admin,
        &FaultInjector::clear(),
        &namespace.name,
        None,
    );
    namespace
        .make("f", json!({ "image": "registry.example/f:1" }))
        .await
        .expect("it is accepted");
    let function = namespace
        .wait_for_status_where("f", |function| {
            reason(function, ConditionKind::Ready) == "NameTaken"
        })
        .await;
    assert!(
        message(&function, ConditionKind::Ready).contains("Service f"),
        "{function:?}"
    );
    assert_eq!(
        services
            .get("f")
            .await
            .expect("still there")
            .resource_version(),
        theirs.resource_version()
    );
    services
        .delete("f", &DeleteParams::default())
        .await
        .expect("deleted");
    namespace
        .wait_for_status_where("f", |function| {
            reason(function, ConditionKind::Ready) == "Starting"
        })
        .await;
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_27_an_unchanged_function_causes_no_writes() {
    let namespace = TestNamespace::new(cluster().await, "idle").await;
    let faults = FaultInjector::clear();
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    // With values that the API server spells differently.
    let spec = json!({
        "image": "registry.example/f:1", "replicas": 0, "env": [{ "name": "EMPTY", "value": "" }],
        "ingress": { "host": "f.example", "tls": {} },
        "template": {
            "resources": { "limits": { "memory": "1024Mi", "cpu": 1 }, "requests": { "cpu": "1000m" } },
            "volumes": [{ "name": "v", "emptyDir": { "sizeLimit": "1024Ki" } }, { "name": "c", "configMap": { "name": "c" } }],
            "volumeMounts": [{ "name": "v", "mountPath": "/v", "readOnly": false }],
            "securityContext": {}, "tolerations": [{ "operator": "Exists" }], "affinity": {},
            "sidecars": [{ "name": "s", "image": "s", "stdin": false, "ports": [{ "containerPort": 1 }], "env": [] }],
        },
    });
    namespace.make("f", spec).await.expect("it is accepted");
    namespace
        .make(
            "wrong",
            json!({ "image": "i", "limits": { "memory": "9Ti" } }),
        )
        .await
        .expect("the schema has no ranges of texts");
    namespace.wait_for_status("f").await;
    namespace.wait_for_status("wrong").await;
    let reconciles = operator.metrics.reconciles();
    until("the first reconciles are over", async || {
        operator.metrics.reconciles() > reconciles + 6
    })
    .await;
    let (writes, reconciles) = (faults.writes().len(), operator.metrics.reconciles());
    until("several periods are over", async || {
        operator.metrics.reconciles() > reconciles + 12
    })
    .await;
    assert_eq!(
        faults.writes().len(),
        writes,
        "{:?}",
        &faults.writes()[writes..]
    );
    operator.stop().await.expect("it ends");
    // The next operator finds every object as desired.
    let faults = FaultInjector::clear();
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    until("several periods are over", async || {
        operator.metrics.reconciles() > 12
    })
    .await;
    assert!(faults.writes().len() <= 1, "{:?}", faults.writes());
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_28_an_unrelated_object_is_not_changed() {
    let namespace = TestNamespace::new(cluster().await, "others").await;
    let maps = namespace.api::<ConfigMap>();
    let theirs: ConfigMap = serde_json::from_value(json!({
        "metadata": { "name": "f", "labels": { "app.kubernetes.io/managed-by": "sampan-operator" } }, "data": {},
    }))
    .expect("a map");
    let theirs = maps
        .create(&PostParams::default(), &theirs)
        .await
        .expect("made");
    let operator = Operator::start(
        &namespace.admin,
        &FaultInjector::clear(),
        &namespace.name,
        None,
    );
    namespace
        .make("f", json!({ "image": "registry.example/f:1" }))
        .await
        .expect("it is accepted");
    namespace.wait_for_status("f").await;
    assert_eq!(
        maps.get("f").await.expect("still there").resource_version(),
        theirs.resource_version()
    );
    operator.stop().await.expect("it ends");
}
