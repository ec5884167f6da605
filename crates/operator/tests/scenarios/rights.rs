//! Tests of the operator's permissions: they suffice, and a missing one is reported.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use sampan_crd::{ConditionKind, DEFAULT_POOL, POOL, WasmFunction, WasmPool};
use serde_json::{Value, json};

use crate::support::cluster::{cluster, until};
use crate::support::fault::FaultInjector;
use crate::support::operator::{Operator, TestNamespace, message, reason};

fn role() -> ClusterRole {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/rbac/operator.yaml");
    let text = std::fs::read_to_string(path).expect("the file of permissions");
    let (cluster, namespaced) = text.split_once("\n---\n").expect("two documents");
    serde_saphyr::from_str::<Role>(namespaced).expect("a role");
    serde_saphyr::from_str(cluster).expect("a role of the cluster")
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_30_the_chart_permissions_suffice_and_a_missing_one_is_reported() {
    let cluster = cluster().await;
    let namespace = TestNamespace::new(cluster, "rights").await;
    let roles: Api<ClusterRole> = Api::all(namespace.client.clone());
    let bindings: Api<ClusterRoleBinding> = Api::all(namespace.client.clone());
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
    let operator = Operator::start(&user, &FaultInjector::clear(), &namespace.name, None);
    let spec = json!({ "image": "registry.example/f:1", "ingress": { "host": "f.example" } });
    namespace.make("f", spec).await.expect("it is accepted");
    let function = namespace
        .wait_for_status_where("f", |function| {
            reason(function, ConditionKind::Ready) == "Starting"
        })
        .await;
    assert_eq!(reason(&function, ConditionKind::Progressing), "RollingOut");

    for (group, resource, verb) in [
        ("networking.k8s.io", "ingresses", "patch"),
        ("apps", "deployments", "patch"),
    ] {
        revoke(&roles, resource, verb).await;
        // Requires a write.
        let path = format!("/{resource}-{verb}");
        namespace
            .change("f", json!({ "args": [path], "ingress": { "path": path } }))
            .await;
        let function = namespace
            .wait_for_status_where("f", |function| {
                reason(function, ConditionKind::Progressing) == "Forbidden"
            })
            .await;
        let expected = format!("{verb} {resource}.{group} in namespace {}", namespace.name);
        let text = message(&function, ConditionKind::Progressing);
        assert!(text.contains(&expected), "{text}");
        roles
            .patch(
                "sampan-operator",
                &PatchParams::default(),
                &Patch::Merge(&json!({ "rules": role().rules })),
            )
            .await
            .expect("permissions restored");
        // Without a further change.
        namespace
            .wait_for_status_where("f", |function| {
                reason(function, ConditionKind::Progressing) == "RollingOut"
            })
            .await;
    }
    operator.stop().await.expect("it ends");
}

async fn revoke(roles: &Api<ClusterRole>, resource: &str, verb: &str) {
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
        .expect("permission revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_31_the_permissions_suffice_for_a_pool() {
    let cluster = cluster().await;
    let namespace = TestNamespace::new(cluster, "pool-rights").await;
    let name = format!("operator-of-{}", namespace.name);
    let roles: Api<ClusterRole> = Api::all(namespace.client.clone());
    let mut operator = role();
    operator.metadata.name = Some(name.clone());
    roles
        .create(&PostParams::default(), &operator)
        .await
        .expect("the operator's role");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/rbac/pool.yaml");
    let text = std::fs::read_to_string(path).expect("the pool's permissions");
    let pool: ClusterRole = serde_saphyr::from_str(&text).expect("a role");
    roles
        .create(&PostParams::default(), &pool)
        .await
        .expect("the pool's role");
    // In this namespace only, as for an operator of one namespace.
    let bindings = namespace.api::<RoleBinding>();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": { "name": "operator" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
        "subjects": [{ "kind": "User", "name": "operator" }],
    }))
    .expect("a binding");
    bindings
        .create(&PostParams::default(), &binding)
        .await
        .expect("the binding");

    let user = cluster.user("operator");
    let operator = Operator::start(&user, &FaultInjector::clear(), &namespace.name, None);
    let resource: WasmPool = serde_json::from_value(json!({
        "apiVersion": "sampan.dev/v1alpha1", "kind": "WasmPool",
        "metadata": { "name": DEFAULT_POOL },
        "spec": {
            "replicas": { "min": 2, "max": 3 }, "resources": { "requests": { "cpu": "100m" } },
        },
    }))
    .expect("a resource");
    let pools = namespace.api::<WasmPool>();
    pools
        .create(&PostParams::default(), &resource)
        .await
        .expect("it is accepted");
    let spec = json!({ "image": "registry.example/f:1", "placement": "Pooled" });
    namespace.make("f", spec).await.expect("it is accepted");
    namespace.wait_for_status("f").await;
    let autoscalers = namespace.api::<HorizontalPodAutoscaler>();
    let budgets = namespace.api::<PodDisruptionBudget>();
    until("the pool is there", async || {
        let deployment = namespace.api::<Deployment>().get_opt(POOL).await;
        let bound = bindings.get_opt(POOL).await.expect("an answer");
        let scaled = autoscalers.get_opt(POOL).await.expect("an answer");
        let protected = budgets.get_opt(POOL).await.expect("an answer");
        let status = pools.get(DEFAULT_POOL).await.expect("the pool").status;
        deployment.expect("an answer").is_some()
            && bound.is_some()
            && scaled.is_some()
            && protected.is_some()
            && status.is_some_and(|status| status.functions == 1)
    })
    .await;
    let functions = namespace.api::<WasmFunction>();
    functions
        .delete("f", &DeleteParams::default())
        .await
        .expect("it is deleted");
    until("the pool is gone", async || {
        let deployment = namespace.api::<Deployment>().get_opt(POOL).await;
        let bound = bindings.get_opt(POOL).await.expect("an answer");
        let scaled = autoscalers.get_opt(POOL).await.expect("an answer");
        let protected = budgets.get_opt(POOL).await.expect("an answer");
        deployment.expect("an answer").is_none()
            && bound.is_none()
            && scaled.is_none()
            && protected.is_none()
    })
    .await;
    operator.stop().await.expect("it ends");
}
