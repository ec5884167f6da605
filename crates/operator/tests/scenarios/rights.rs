//! Rights that the operator has, and rights that are taken from it.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role};
use kube::api::{Api, Patch, PatchParams, PostParams};
use sampan_crd::ConditionKind;
use serde_json::{Value, json};

use crate::support::cluster::cluster;
use crate::support::fault::Way;
use crate::support::operator::{Operator, Place, message, reason};

fn role() -> ClusterRole {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/rbac/operator.yaml");
    let text = std::fs::read_to_string(path).expect("the rights are there");
    let (cluster, namespaced) = text.split_once("\n---\n").expect("two documents");
    serde_saphyr::from_str::<Role>(namespaced).expect("a role");
    serde_saphyr::from_str(cluster).expect("a role of the cluster")
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_30_the_rights_of_the_chart_are_enough_and_a_missing_one_is_named() {
    let cluster = cluster().await;
    let place = Place::new(cluster, "rights").await;
    let roles: Api<ClusterRole> = Api::all(place.client.clone());
    let bindings: Api<ClusterRoleBinding> = Api::all(place.client.clone());
    roles
        .create(&PostParams::default(), &role())
        .await
        .expect("the role");
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": { "name": "sampan-operator" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "sampan-operator" },
        "subjects": [{ "kind": "User", "name": "operator" }],
    }))
    .expect("a binding");
    bindings
        .create(&PostParams::default(), &binding)
        .await
        .expect("the binding");

    let user = cluster.user("operator");
    let operator = Operator::start(&user, &Way::clear(), &place.namespace, None);
    let spec = json!({ "image": "registry.example/f:1", "ingress": { "host": "f.example" } });
    place.make("f", spec).await.expect("it is taken");
    let told = place
        .told_that("f", |told| reason(told, ConditionKind::Ready) == "Starting")
        .await;
    assert_eq!(reason(&told, ConditionKind::Progressing), "RollingOut");

    for (group, resource, verb) in [
        ("networking.k8s.io", "ingresses", "patch"),
        ("apps", "deployments", "patch"),
    ] {
        take(&roles, resource, verb).await;
        // Something to write.
        let path = format!("/{resource}-{verb}");
        place
            .change("f", json!({ "args": [path], "ingress": { "path": path } }))
            .await;
        let told = place
            .told_that("f", |told| {
                reason(told, ConditionKind::Progressing) == "Forbidden"
            })
            .await;
        let expected = format!("{verb} {resource}.{group} in namespace {}", place.namespace);
        let said = message(&told, ConditionKind::Progressing);
        assert!(said.contains(&expected), "{said}");
        roles
            .patch(
                "sampan-operator",
                &PatchParams::default(),
                &Patch::Merge(&json!({ "rules": role().rules })),
            )
            .await
            .expect("given back");
        // By itself.
        place
            .told_that("f", |told| {
                reason(told, ConditionKind::Progressing) == "RollingOut"
            })
            .await;
    }
    operator.stop().await.expect("it ends");
}

async fn take(roles: &Api<ClusterRole>, resource: &str, verb: &str) {
    let mut rules = serde_json::to_value(role().rules).expect("rules");
    for rule in rules.as_array_mut().expect("rules") {
        if rule["resources"]
            .as_array()
            .is_some_and(|names| names.contains(&Value::from(resource)))
        {
            rule["verbs"]
                .as_array_mut()
                .expect("verbs")
                .retain(|it| it != verb);
        }
    }
    let patch = json!({ "rules": rules });
    roles
        .patch(
            "sampan-operator",
            &PatchParams::default(),
            &Patch::Merge(&patch),
        )
        .await
        .expect("taken");
}
