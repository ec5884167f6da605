//! Tests of pools that are disabled, and of pools that the cluster refuses.

use http::Method;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::DeleteParams;
use sampan_crd::{ConditionKind, POOL, WasmFunction};
use serde_json::json;

use crate::support::cluster::{cluster, until};
use crate::support::fault::{FaultAction, FaultInjector};
use crate::support::operator::{Operator, TestNamespace, reason};

fn port(function: &WasmFunction) -> Option<u16> {
    function.status.as_ref()?.pool_port
}

fn pooled() -> serde_json::Value {
    json!({ "image": "registry.example/f:1", "placement": "Pooled" })
}

async fn has_grant(namespace: &TestNamespace) -> bool {
    let grant = namespace.api::<RoleBinding>().get_opt(POOL).await;
    grant.expect("an answer").is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_pools_a_function_keeps_its_port_and_no_other_gets_one() {
    let namespace = TestNamespace::new(cluster().await, "pool-off").await;
    let faults = FaultInjector::clear();
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    namespace.make("old", pooled()).await.expect("it is made");
    let old = namespace.wait_for_status_where("old", |old| port(old).is_some());
    let kept = port(&old.await);
    operator.stop().await.expect("it ends");

    let operator =
        Operator::start_with_pool(&namespace.admin, &faults, &namespace.name, None, None);
    namespace.make("new", pooled()).await.expect("it is made");
    for name in ["new", "old"] {
        let refused = |it: &WasmFunction| reason(it, ConditionKind::Progressing) == "PoolDisabled";
        let function = namespace.wait_for_status_where(name, refused).await;
        let is_old = name == "old";
        assert_eq!(port(&function), kept.filter(|_| is_old), "{name}");
        let service = namespace.api::<Service>().get_opt(name).await;
        assert_eq!(service.expect("an answer").is_some(), is_old, "{name}");
    }
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_to_read_secrets_is_not_left_without_a_pool() {
    let namespace = TestNamespace::new(cluster().await, "pool-grant").await;
    // A quota or a policy forbids the Deployment.
    let faults = FaultInjector::with(|request| {
        let is_pool = request.uri().path().ends_with("/deployments/sampan-pool");
        if is_pool && *request.method() == Method::PATCH {
            FaultAction::Answer(422)
        } else {
            FaultAction::Pass
        }
    });
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    namespace.make("f", pooled()).await.expect("it is made");
    let refused = |it: &WasmFunction| reason(it, ConditionKind::Progressing) == "Rejected";
    namespace.wait_for_status_where("f", refused).await;
    assert!(!has_grant(&namespace).await);
    faults.change(|_| FaultAction::Pass);
    until("the pool is there", async || has_grant(&namespace).await).await;
    // The Deployment is deleted by hand, and then the last function.
    let functions = namespace.api::<WasmFunction>();
    let parameters = DeleteParams::background();
    functions.delete("f", &parameters).await.expect("deleted");
    until("the function is gone", async || {
        functions.get_opt("f").await.expect("an answer").is_none()
    })
    .await;
    let deployments = namespace.api::<Deployment>();
    deployments
        .delete(POOL, &parameters)
        .await
        .expect("deleted");
    until("the grant is gone", async || !has_grant(&namespace).await).await;
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_forbidden_is_reported_although_no_pod_reports() {
    let namespace = TestNamespace::new(cluster().await, "pool-forbidden").await;
    // Nothing answers at this address.
    namespace
        .start_pod(
            "pool-pod",
            ("sampan.dev/pool", "default"),
            Some("127.0.77.9"),
        )
        .await;
    let faults = FaultInjector::with(|request| {
        if request.uri().path().ends_with("/ingresses") {
            FaultAction::Answer(403)
        } else {
            FaultAction::Pass
        }
    });
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    namespace.make("f", pooled()).await.expect("it is made");
    let refused = |it: &WasmFunction| reason(it, ConditionKind::Progressing) == "Forbidden";
    namespace.wait_for_status_where("f", refused).await;
    operator.stop().await.expect("it ends");
}
