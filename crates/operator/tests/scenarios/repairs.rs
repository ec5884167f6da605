//! Children that others change, and functions that nobody changes.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use sampan_crd::ConditionKind;
use serde_json::json;

use crate::support::cluster::{cluster, until};
use crate::support::fault::Way;
use crate::support::operator::{Operator, Place, message, reason};

#[tokio::test(flavor = "multi_thread")]
async fn scenario_28_children_that_were_edited_or_deleted_are_repaired() {
    let place = Place::new(cluster().await, "repair").await;
    let operator = Operator::start(&place.admin, &Way::clear(), &place.namespace, None);
    let spec = json!({ "image": "registry.example/f:1", "ingress": { "host": "f.example" } });
    place.make("f", spec).await.expect("it is taken");
    place.told("f").await;
    let (deployments, services, ingresses) = (
        place.api::<Deployment>(),
        place.api::<Service>(),
        place.api::<Ingress>(),
    );
    let expected = place.made("f").await;

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
    // The Ingress is nobody's now, and so it is not touched until its label is back.
    let edit =
        json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": "sampan-operator" } } });
    ingresses
        .patch("f", &PatchParams::default(), &Patch::Merge(&edit))
        .await
        .expect("edited");
    until("the edits are undone", async || {
        place.made("f").await["deployment"]["spec"] == expected["deployment"]["spec"]
            && place.made("f").await["service"]["spec"] == expected["service"]["spec"]
            && place.made("f").await["ingress"]["metadata"]["ownerReferences"].is_array()
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
            let made = place.made("f").await;
            ["deployment", "service", "ingress"]
                .iter()
                .all(|kind| made[kind] == expected[kind])
        })
        .await;
    }
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_28_replicas_and_fields_of_others_are_left_to_them() {
    let place = Place::new(cluster().await, "replicas").await;
    let operator = Operator::start(&place.admin, &Way::clear(), &place.namespace, None);
    place
        .make("f", json!({ "image": "registry.example/f:1" }))
        .await
        .expect("it is taken");
    place.told("f").await;
    let deployments = place.api::<Deployment>();
    // As an autoscaler does, and as a person who restarts a rollout.
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
    let rounds = operator.metrics.reconciles();
    until("several rounds are over", async || {
        operator.metrics.reconciles() > rounds + 5
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
    // A change of the function changes what it speaks of.
    place.change("f", json!({ "args": ["-v"] })).await;
    place.told("f").await;
    assert!(kept(7).await);
    place.change("f", json!({ "replicas": 3 })).await;
    place.told("f").await;
    assert!(kept(3).await);
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_28_an_object_of_somebody_else_is_never_taken_over() {
    let place = Place::new(cluster().await, "taken").await;
    let services = place.api::<Service>();
    let theirs: Service = serde_json::from_value(json!({
        "metadata": { "name": "f" }, "spec": { "selector": { "app": "theirs" }, "ports": [{ "port": 81 }] },
    }))
    .expect("a Service");
    let theirs = services
        .create(&PostParams::default(), &theirs)
        .await
        .expect("made");
    let operator = Operator::start(&place.admin, &Way::clear(), &place.namespace, None);
    place
        .make("f", json!({ "image": "registry.example/f:1" }))
        .await
        .expect("it is taken");
    let told = place
        .told_that("f", |told| {
            reason(told, ConditionKind::Ready) == "NameTaken"
        })
        .await;
    assert!(
        message(&told, ConditionKind::Ready).contains("Service f"),
        "{told:?}"
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
    place
        .told_that("f", |told| reason(told, ConditionKind::Ready) == "Starting")
        .await;
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_27_a_function_that_nobody_changes_costs_no_write() {
    let place = Place::new(cluster().await, "idle").await;
    let way = Way::clear();
    let operator = Operator::start(&place.admin, &way, &place.namespace, None);
    // With everything that the API server spells in its own way.
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
    place.make("f", spec).await.expect("it is taken");
    place
        .make(
            "wrong",
            json!({ "image": "i", "limits": { "memory": "9Ti" } }),
        )
        .await
        .expect("the schema has no ranges of texts");
    place.told("f").await;
    place.told("wrong").await;
    let rounds = operator.metrics.reconciles();
    until("the first rounds are over", async || {
        operator.metrics.reconciles() > rounds + 6
    })
    .await;
    let (writes, rounds) = (way.writes().len(), operator.metrics.reconciles());
    until("several periods are over", async || {
        operator.metrics.reconciles() > rounds + 12
    })
    .await;
    assert_eq!(way.writes().len(), writes, "{:?}", &way.writes()[writes..]);
    operator.stop().await.expect("it ends");
    // The next operator finds everything as it is to be.
    let way = Way::clear();
    let operator = Operator::start(&place.admin, &way, &place.namespace, None);
    until("several periods are over", async || {
        operator.metrics.reconciles() > 12
    })
    .await;
    assert!(way.writes().len() <= 1, "{:?}", way.writes());
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_28_what_is_nobodys_business_is_not_touched() {
    let place = Place::new(cluster().await, "others").await;
    let maps = place.api::<ConfigMap>();
    let theirs: ConfigMap = serde_json::from_value(json!({
        "metadata": { "name": "f", "labels": { "app.kubernetes.io/managed-by": "sampan-operator" } }, "data": {},
    }))
    .expect("a map");
    let theirs = maps
        .create(&PostParams::default(), &theirs)
        .await
        .expect("made");
    let operator = Operator::start(&place.admin, &Way::clear(), &place.namespace, None);
    place
        .make("f", json!({ "image": "registry.example/f:1" }))
        .await
        .expect("it is taken");
    place.told("f").await;
    assert_eq!(
        maps.get("f").await.expect("still there").resource_version(),
        theirs.resource_version()
    );
    operator.stop().await.expect("it ends");
}
