//! Tests a function with the placement `Auto` under a real load: it leaves the pool, and returns when it is quiet.

use k8s_openapi::api::apps::v1::Deployment;
use sampan_cluster_tests::pooled::{in_pods, wait_until_gone, wait_until_placed};
use sampan_cluster_tests::{Load, Namespace, Shell, guest, push};

/// Small enough that a single client is a load, and a quiet function is none.
const SETTINGS: &str = "  placement: Auto
  auto: { moveOut: 50m, moveBack: 20m, window: 10s, quiet: 20s }
  replicas: 2
";

/// The requests of the load: each turns in a loop this many times, for some ten milliseconds.
const PATH: &str = "/turns?20000000";

#[tokio::test(flavor = "multi_thread")]
async fn a_function_leaves_the_pool_under_load_and_returns_without_a_failed_request() {
    let namespace = Namespace::create("auto").await;
    // Without it the function would not return.
    let metrics = namespace
        .kubectl()
        .run(&["get", "--raw=/apis/metrics.k8s.io/v1beta1/nodes"]);
    assert!(
        metrics.status.success(),
        "the cluster does not serve metrics.k8s.io: make it with `cargo xtask cluster up --metrics-server`: {}",
        String::from_utf8_lossy(&metrics.stderr)
    );
    let image = push(namespace.cluster(), &guest("probe"), "auto/probe");
    let image = in_pods(namespace.cluster(), &image);
    namespace.deploy("swinging", &image, SETTINGS);
    wait_until_placed(&namespace, "swinging", "Pooled");
    namespace.wait_until_reachable("swinging");
    assert!(namespace.pods_of("swinging").await.is_empty());

    let shell = Shell::start(&namespace, None).await;
    let load = Load::start(&shell, "swinging", PATH).await;
    wait_until_placed(&namespace, "swinging", "Pod");
    assert_eq!(namespace.pods_of("swinging").await.len(), 2);
    // It leaves the pool when it has drained there.
    let port = "jsonpath={.status.poolPort}";
    namespace.until(&["get", "wfn/swinging", "-o", port], str::is_empty);
    load.wait_for_requests().await;
    let outcome = load.stop().await;
    assert_eq!(outcome.bad, 0, "{outcome:?}");

    wait_until_placed(&namespace, "swinging", "Pooled");
    wait_until_gone::<Deployment>(&namespace, "swinging").await;
    namespace.wait_until_reachable("swinging");
    let events = ["get", "events", "-o", "jsonpath={.items[*].reason}"];
    namespace.until(&events, |said| {
        said.contains("MoveToPods") && said.contains("MoveToPool")
    });
    namespace.delete().await;
}
