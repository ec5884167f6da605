//! Tests of `WasmPool`: what it configures, what is refused, and what goes on without it.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Resource;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use sampan_crd::{ConditionKind, DEFAULT_POOL, POOL, WasmFunction, WasmPool};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::pools::pool_key;
use crate::support::cluster::{cluster, until};
use crate::support::fault::{FaultAction, FaultInjector};
use crate::support::operator::{Operator, TestNamespace, reason};

fn pooled() -> Value {
    json!({ "image": "registry.example/f:1", "placement": "Pooled" })
}

/// A pool that a `HorizontalPodAutoscaler` may scale.
fn scaled(min: i32, max: i32) -> Value {
    let cpu = json!({ "requests": { "cpu": "100m" } });
    json!({ "replicas": { "min": min, "max": max }, "resources": cpu })
}

async fn configure(
    namespace: &TestNamespace,
    name: &str,
    spec: &Value,
) -> Result<WasmPool, kube::Error> {
    let pool = json!({
        "apiVersion": "sampan.dev/v1alpha1", "kind": "WasmPool",
        "metadata": { "name": name }, "spec": spec,
    });
    let pool: WasmPool = serde_json::from_value(pool).expect("a resource");
    let pools = namespace.api::<WasmPool>();
    pools.create(&PostParams::default(), &pool).await
}

async fn reconfigure(namespace: &TestNamespace, spec: Value) {
    let patch = Patch::Merge(json!({ "spec": spec }));
    let (pools, parameters) = (namespace.api::<WasmPool>(), PatchParams::default());
    let changed = pools.patch(DEFAULT_POOL, &parameters, &patch);
    changed.await.expect("it is accepted");
}

/// Waits until a condition of the pool has a reason, in a status of its current generation.
async fn wait_for_reason(
    namespace: &TestNamespace,
    kind: ConditionKind,
    expected: &str,
) -> WasmPool {
    let pools = namespace.api::<WasmPool>();
    let mut found = None;
    until(&format!("{kind:?} of the pool is {expected}"), async || {
        let pool = pools.get(DEFAULT_POOL).await.expect("the pool");
        let status = pool.status.clone().unwrap_or_default();
        let has = |kind| status.condition(kind).map(|it| it.reason.as_str()) == Some(expected);
        let holds = status.observed_generation == pool.metadata.generation && has(kind);
        found = Some(pool);
        holds
    })
    .await;
    found.expect("it was found")
}

/// The object of the pool, as JSON; null without one.
async fn object<K>(namespace: &TestNamespace) -> Value
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + serde::Serialize,
{
    let object = namespace.api::<K>().get_opt(POOL).await;
    serde_json::to_value(object.expect("an answer")).expect("JSON")
}

async fn deployment(namespace: &TestNamespace) -> Value {
    object::<Deployment>(namespace).await
}

async fn autoscaler(namespace: &TestNamespace) -> Value {
    object::<HorizontalPodAutoscaler>(namespace).await
}

/// Whether the operator sets the number of pods.
fn sets_replicas(deployment: &Value) -> bool {
    let entries = deployment["metadata"]["managedFields"].as_array();
    entries.into_iter().flatten().any(|entry| {
        entry["manager"] == "sampan-operator"
            && entry["fieldsV1"]["f:spec"].get("f:replicas").is_some()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wasm_pool_configures_the_pool_of_its_namespace() {
    let namespace = TestNamespace::new(cluster().await, "wpool").await;
    let faults = FaultInjector::clear();
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    configure(&namespace, DEFAULT_POOL, &scaled(1, 3))
        .await
        .expect("it is accepted");
    for kind in [ConditionKind::Ready, ConditionKind::Progressing] {
        wait_for_reason(&namespace, kind, "NoFunctions").await;
    }
    assert_eq!(deployment(&namespace).await, Value::Null);

    namespace.make("f", pooled()).await.expect("it is accepted");
    until("the pool has an autoscaler", async || {
        let there = autoscaler(&namespace).await;
        there["spec"]["minReplicas"] == 1 && there["spec"]["maxReplicas"] == 3
    })
    .await;
    let pool = wait_for_reason(&namespace, ConditionKind::Ready, "Starting").await;
    assert_eq!(pool.status.map(|status| status.functions), Some(1));
    until("evictions stop one of its pods at a time", async || {
        !object::<PodDisruptionBudget>(&namespace).await.is_null()
    })
    .await;
    until("the number of pods is the autoscaler's", async || {
        !sets_replicas(&deployment(&namespace).await)
    })
    .await;
    let made = deployment(&namespace).await;
    let container = &made["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        container["resources"],
        json!({ "requests": { "cpu": "100m" } })
    );

    // As the autoscaler does.
    let patch = Patch::Merge(json!({ "spec": { "replicas": 3 } }));
    let (deployments, parameters) = (namespace.api::<Deployment>(), PatchParams::default());
    let scale = deployments.patch_scale(POOL, &parameters, &patch);
    scale.await.expect("it is scaled");
    reconfigure(&namespace, json!({ "nodeSelector": { "disktype": "ssd" } })).await;
    until("the pods have the new selector", async || {
        let there = deployment(&namespace).await;
        assert_eq!(there["spec"]["replicas"], 3);
        there["spec"]["template"]["spec"]["nodeSelector"]["disktype"] == "ssd"
    })
    .await;

    let pools = namespace.api::<WasmPool>();
    let parameters = DeleteParams::default();
    pools
        .delete(DEFAULT_POOL, &parameters)
        .await
        .expect("it is deleted");
    until("the pool has the settings of all pools", async || {
        let there = deployment(&namespace).await;
        let pod = &there["spec"]["template"]["spec"];
        autoscaler(&namespace).await.is_null()
            && there["spec"]["replicas"] == 1
            && pod.get("nodeSelector").is_none()
    })
    .await;
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_pods_stays_when_an_autoscaler_takes_over() {
    let namespace = TestNamespace::new(cluster().await, "wpool-takes").await;
    let faults = FaultInjector::clear();
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    let fixed = json!({ "replicas": { "min": 4 }, "resources": scaled(1, 1)["resources"] });
    configure(&namespace, DEFAULT_POOL, &fixed)
        .await
        .expect("it is accepted");
    namespace.make("f", pooled()).await.expect("it is accepted");
    until("the pool is protected", async || {
        let budget = object::<PodDisruptionBudget>(&namespace).await;
        budget["spec"]["maxUnavailable"] == 1
    })
    .await;
    assert_eq!(deployment(&namespace).await["spec"]["replicas"], 4);

    reconfigure(&namespace, json!({ "replicas": { "min": 1, "max": 6 } })).await;
    until("the number of pods is the autoscaler's", async || {
        let there = deployment(&namespace).await;
        assert_eq!(there["spec"]["replicas"], 4);
        !sets_replicas(&there) && !autoscaler(&namespace).await.is_null()
    })
    .await;
    assert!(
        !object::<PodDisruptionBudget>(&namespace).await.is_null(),
        "there may be several pods"
    );

    reconfigure(&namespace, json!({ "replicas": { "min": 1, "max": null } })).await;
    until("the number of pods is fixed", async || {
        let there = deployment(&namespace).await;
        there["spec"]["replicas"] == 1 && autoscaler(&namespace).await.is_null()
    })
    .await;
    until("a single pod is not protected", async || {
        object::<PodDisruptionBudget>(&namespace).await.is_null()
    })
    .await;

    // Nothing is left of the pool.
    reconfigure(&namespace, json!({ "replicas": { "min": 2, "max": 3 } })).await;
    until("there is an autoscaler again", async || {
        !autoscaler(&namespace).await.is_null()
    })
    .await;
    let (functions, parameters) = (namespace.api::<WasmFunction>(), DeleteParams::default());
    let deleted = functions.delete("f", &parameters);
    deleted.await.expect("it is deleted");
    until("the pool is gone", async || {
        deployment(&namespace).await.is_null()
            && autoscaler(&namespace).await.is_null()
            && object::<PodDisruptionBudget>(&namespace).await.is_null()
            && object::<ServiceAccount>(&namespace).await.is_null()
            && object::<RoleBinding>(&namespace).await.is_null()
            && object::<Service>(&namespace).await.is_null()
            && pool_key(&namespace).await.is_none()
    })
    .await;
    wait_for_reason(&namespace, ConditionKind::Ready, "NoFunctions").await;
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_wasm_pool_names_the_field_and_changes_nothing() {
    let namespace = TestNamespace::new(cluster().await, "wpool-invalid").await;
    let faults = FaultInjector::clear();
    let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
    // The resources of all pools in these tests have no request of processor time.
    let invalid = json!({ "replicas": { "min": 2, "max": 3 } });
    configure(&namespace, DEFAULT_POOL, &invalid)
        .await
        .expect("the API server accepts it");
    let pool = wait_for_reason(&namespace, ConditionKind::Accepted, "Invalid").await;
    let status = pool.status.unwrap_or_default();
    let accepted = status
        .condition(ConditionKind::Accepted)
        .expect("it is set");
    assert!(accepted.message.contains("spec.resources"), "{accepted:?}");
    // Without settings there is no pool, and the function says why.
    namespace.make("f", pooled()).await.expect("it is accepted");
    let refused = |it: &WasmFunction| reason(it, ConditionKind::Progressing) == "PoolInvalid";
    namespace.wait_for_status_where("f", refused).await;
    assert_eq!(deployment(&namespace).await, Value::Null);

    reconfigure(&namespace, json!({ "replicas": { "min": 2, "max": 2 } })).await;
    until("the pool is there", async || {
        deployment(&namespace).await["spec"]["replicas"] == 2
    })
    .await;
    reconfigure(&namespace, json!({ "replicas": { "min": 1, "max": 3 } })).await;
    wait_for_reason(&namespace, ConditionKind::Accepted, "Invalid").await;
    assert_eq!(deployment(&namespace).await["spec"]["replicas"], 2);
    assert_eq!(autoscaler(&namespace).await, Value::Null);
    operator.stop().await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_refuses_what_the_definition_does_not_allow() {
    let namespace = TestNamespace::new(cluster().await, "wpool-refused").await;
    let refused = async |name: &str, spec: Value, part: &str| {
        let error = configure(&namespace, name, &spec).await;
        let error = error.expect_err("it is refused").to_string();
        assert!(error.contains(part), "{name} {spec}: {error}");
    };
    refused("other", json!({}), "name default").await;
    let min = json!({ "replicas": { "min": 0 } });
    refused(DEFAULT_POOL, min, "spec.replicas.min").await;
    let order = json!({ "replicas": { "min": 3, "max": 2 } });
    refused(DEFAULT_POOL, order, "max is less than min").await;
    let claims = json!({ "resources": { "claims": [{ "name": "gpu" }] } });
    refused(DEFAULT_POOL, claims, "no resource claims").await;
    let size = json!({ "cacheSize": "much" });
    refused(DEFAULT_POOL, size, "spec.cacheSize").await;
    let quantity = json!({ "resources": { "limits": { "memory": "much" } } });
    refused(DEFAULT_POOL, quantity, "spec.resources.limits").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_pool_has_the_settings_of_all_pools_where_a_watch_fails() {
    for code in [403, 404, 500] {
        let namespace = TestNamespace::new(cluster().await, "wpool-rights").await;
        let faults = FaultInjector::with(move |request| {
            let path = request.uri().path();
            let optional = ["/wasmpools", "/horizontalpodautoscalers"];
            if optional.iter().any(|end| path.ends_with(end)) {
                FaultAction::Answer(code)
            } else {
                FaultAction::Pass
            }
        });
        let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
        let own = json!({ "replicas": { "min": 4 } });
        configure(&namespace, DEFAULT_POOL, &own)
            .await
            .expect("it is accepted");
        namespace.make("f", pooled()).await.expect("it is accepted");
        until("the pool is there", async || {
            deployment(&namespace).await["spec"]["replicas"] == 1
        })
        .await;
        let function = namespace.wait_for_status("f").await;
        assert_ne!(reason(&function, ConditionKind::Progressing), "Forbidden");
        // The right is given, or the definition is installed.
        faults.change(|_| FaultAction::Pass);
        until("the pool has its own settings", async || {
            deployment(&namespace).await["spec"]["replicas"] == 4
        })
        .await;
        operator.stop().await.expect("it ends");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_stays_as_it_is_while_its_settings_are_unknown() {
    for code in [403, 500] {
        let namespace = TestNamespace::new(cluster().await, "wpool-unknown").await;
        let faults = FaultInjector::clear();
        let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
        let own = json!({ "replicas": { "min": 4 }, "nodeSelector": { "disktype": "ssd" } });
        configure(&namespace, DEFAULT_POOL, &own)
            .await
            .expect("it is accepted");
        namespace.make("f", pooled()).await.expect("it is accepted");
        until("the pool is there", async || {
            !object::<RoleBinding>(&namespace).await.is_null()
        })
        .await;
        operator.stop().await.expect("it ends");
        let before = deployment(&namespace).await;
        assert_eq!(before["spec"]["replicas"], 4);

        let (bindings, parameters) = (namespace.api::<RoleBinding>(), DeleteParams::default());
        let deleted = bindings.delete(POOL, &parameters);
        deleted.await.expect("it is deleted");
        let faults = FaultInjector::with(move |request| {
            if request.uri().path().ends_with("/wasmpools") {
                FaultAction::Answer(code)
            } else {
                FaultAction::Pass
            }
        });
        let operator = Operator::start(&namespace.admin, &faults, &namespace.name, None);
        // What does not depend on the settings is made again, so the pool was looked at.
        until("the grant is there again", async || {
            !object::<RoleBinding>(&namespace).await.is_null()
        })
        .await;
        let after = deployment(&namespace).await;
        assert_eq!(after["spec"], before["spec"], "{code}");

        let own = json!({ "replicas": { "min": 3 } });
        reconfigure(&namespace, own).await;
        faults.change(|_| FaultAction::Pass);
        until("the pool has its new number", async || {
            deployment(&namespace).await["spec"]["replicas"] == 3
        })
        .await;
        let there = deployment(&namespace).await;
        let selector = &there["spec"]["template"]["spec"]["nodeSelector"];
        assert_eq!(*selector, json!({ "disktype": "ssd" }));
        operator.stop().await.expect("it ends");
    }
}
