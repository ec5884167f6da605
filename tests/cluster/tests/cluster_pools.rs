//! Tests the settings of a pool: its autoscaler, its disruption budget, its resources, and its end.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use sampan_cluster_tests::pooled::{POOL, configure, deploy, wait_until_gone, wait_until_placed};
use sampan_cluster_tests::{Namespace, Shell, hello, push};

/// A target that no idle pod reaches.
const IDLE: &str = "target: { cpuUtilization: 10000 }";

/// Waits until a condition of the pool has this reason, in a status of its current generation.
fn wait_for_reason(namespace: &Namespace, condition: &str, reason: &str) {
    let path = format!(
        "jsonpath={{.metadata.generation}} {{.status.observedGeneration}} \
         {{.status.conditions[?(@.type==\"{condition}\")].reason}}"
    );
    namespace.until(&["get", "wpool/default", "-o", &path], |said| {
        let words: Vec<&str> = said.split(' ').collect();
        matches!(words[..], [is, seen, it] if is == seen && it == reason)
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wasm_pool_scales_its_pool_and_leaves_nothing() {
    let namespace = Namespace::create("pools").await;
    let resources = "{ requests: { cpu: 20m, memory: 64Mi }, limits: { memory: 1Gi } }";
    configure(
        &namespace,
        &format!("{{ replicas: {{ min: 1, max: 3 }}, {IDLE}, resources: {resources} }}"),
    );
    wait_for_reason(&namespace, "Ready", "NoFunctions");
    let kubectl = namespace.kubectl();
    let none = kubectl.output(&["get", "deployments,hpa,pdb", "-o", "name"]);
    assert_eq!(none, "");

    let image = push(namespace.cluster(), &hello(), "pools/hello");
    deploy(&namespace, "hello", &image, "");
    wait_until_placed(&namespace, "hello", "Pooled");
    wait_for_reason(&namespace, "Ready", "AllReady");
    let listed = kubectl.output(&["get", "wpool", "default", "--no-headers"]);
    let words: Vec<&str> = listed.split_whitespace().collect();
    assert_eq!(words[..5], ["default", "True", "AllReady", "1/1", "1"]);
    let range = "jsonpath={.spec.minReplicas} {.spec.maxReplicas} {.spec.scaleTargetRef.name}";
    let autoscaler = kubectl.output(&["get", "hpa", POOL, "-o", range]);
    assert_eq!(autoscaler, format!("1 3 {POOL}"));
    let requests = "jsonpath={.items[*].spec.containers[0].resources.requests.cpu}";
    let pods = ["get", "pods", "-l", "sampan.dev/pool", "-o", requests];
    assert_eq!(kubectl.output(&pods), "20m");

    // The autoscaler raises the number to its minimum without any measurement.
    let two = "{\"spec\":{\"replicas\":{\"min\":2}}}";
    kubectl.output(&["patch", "wpool", "default", "--type=merge", "-p", two]);
    let shown = ["get", "wpool", "default", "-o", "jsonpath={.status.pods}"];
    namespace.until(&shown, |said| said == "2/2");
    let budget = "jsonpath={.spec.maxUnavailable} {.status.expectedPods}";
    namespace.until(&["get", "pdb", POOL, "-o", budget], |said| said == "1 2");

    // A fixed number takes over, and the function answers all the time.
    let shell = Shell::start(&namespace, None).await;
    let fixed = "{\"spec\":{\"replicas\":{\"min\":1,\"max\":null}}}";
    kubectl.output(&["patch", "wpool", "default", "--type=merge", "-p", fixed]);
    wait_until_gone::<HorizontalPodAutoscaler>(&namespace, POOL).await;
    wait_until_gone::<PodDisruptionBudget>(&namespace, POOL).await;
    namespace.until(&shown, |said| said == "1/1");
    assert_eq!(shell.get("hello", "/").await.status, 200);

    // Everything goes with the last function.
    kubectl.output(&[
        "patch",
        "wpool",
        "default",
        "--type=merge",
        "-p",
        "{\"spec\":{\"replicas\":{\"min\":2,\"max\":3}}}",
    ]);
    namespace.until(&shown, |said| said == "2/2");
    kubectl.output(&["delete", "wfn", "hello"]);
    wait_until_gone::<Deployment>(&namespace, POOL).await;
    wait_until_gone::<HorizontalPodAutoscaler>(&namespace, POOL).await;
    wait_until_gone::<PodDisruptionBudget>(&namespace, POOL).await;
    wait_for_reason(&namespace, "Ready", "NoFunctions");
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scaled_function_has_an_autoscaler_that_keeps_its_pods() {
    let namespace = Namespace::create("scaled").await;
    let image = push(namespace.cluster(), &hello(), "pools/scaled");
    namespace.deploy("hello", &image, "  replicas: 2\n");
    let shown = ["get", "wfn", "hello", "-o", "jsonpath={.status.pods}"];
    namespace.until(&shown, |said| said == "2/2");
    let kubectl = namespace.kubectl();
    let scale =
        r#"{"spec":{"replicas":null,"scale":{"min":2,"max":3,"target":{"cpuUtilization":10000}}}}"#;
    kubectl.output(&["patch", "wfn", "hello", "--type=merge", "-p", scale]);
    let range = "jsonpath={.spec.minReplicas} {.spec.maxReplicas}";
    let words = ["get", "hpa", "hello", "--ignore-not-found", "-o", range];
    namespace.until(&words, |said| said == "2 3");
    assert_eq!(kubectl.output(&shown), "2/2");
    kubectl.output(&["delete", "wfn", "hello"]);
    wait_until_gone::<HorizontalPodAutoscaler>(&namespace, "hello").await;
    namespace.delete().await;
}
