//! Tests the pool itself: its objects, its rights, and the end of its process.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use sampan_cluster_tests::pooled::{POOL, deploy, wait_until_gone, wait_until_placed};
use sampan_cluster_tests::{Namespace, Shell, TEST_TIMEOUT, hello, processes_of, push, signal};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn the_pool_comes_with_the_first_function_and_goes_with_the_last() {
    let namespace = Namespace::create("pooled-objects").await;
    let image = push(namespace.cluster(), &hello(), "pooled/objects");
    for name in ["first", "last"] {
        deploy(&namespace, name, &image, "");
        wait_until_placed(&namespace, name, "Pooled");
    }
    let kubectl = namespace.kubectl();
    let ports = ["get", "wfn", "-o", "jsonpath={.items[*].status.poolPort}"];
    let ports = kubectl.output(&ports);
    let mut ports: Vec<&str> = ports.split(' ').collect();
    ports.sort_unstable();
    assert_eq!(ports, ["10000", "10001"]);
    for kind in ["deployment", "serviceaccount", "rolebinding"] {
        kubectl.output(&["get", kind, POOL]);
    }
    // The grant holds in this namespace only, and is for reading.
    let account = format!("--as=system:serviceaccount:{}:{POOL}", namespace.name());
    let may = |words: &[&str]| {
        let words = [&["auth", "can-i"], words, &[account.as_str()]].concat();
        kubectl.run(&words).status.success()
    };
    assert!(may(&["list", "secrets"]));
    assert!(!may(&["list", "secrets", "-n", "default"]));
    assert!(!may(&["create", "configmaps"]));
    assert!(!may(&[
        "patch",
        "wasmfunctions.sampan.dev",
        "--subresource=status"
    ]));

    kubectl.output(&["delete", "wfn", "first"]);
    namespace.wait_until_reachable("last");
    let shell = Shell::start(&namespace, None).await;
    assert_eq!(shell.get("last", "/").await.status, 200);
    kubectl.output(&["get", "deployment", POOL]);
    kubectl.output(&["delete", "wfn", "last"]);
    wait_until_gone::<Deployment>(&namespace, POOL).await;
    wait_until_gone::<ServiceAccount>(&namespace, POOL).await;
    wait_until_gone::<RoleBinding>(&namespace, POOL).await;
    wait_until_gone::<Service>(&namespace, POOL).await;
    wait_until_gone::<Secret>(&namespace, "sampan-pool-key").await;
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_serves_again_after_the_end_of_its_process() {
    let namespace = Namespace::create("pooled-restart").await;
    let image = push(namespace.cluster(), &hello(), "pooled/restart");
    deploy(&namespace, "hello", &image, "");
    wait_until_placed(&namespace, "hello", "Pooled");
    namespace.wait_until_reachable("hello");
    let pods = ["pods", "-l", "sampan.dev/pool"];
    let restarts = |pods: &Value| {
        let containers = &pods["items"][0]["status"]["containerStatuses"];
        containers[0]["restartCount"].as_i64()
    };
    let container = namespace.json(&pods)["items"][0]["status"]["containerStatuses"][0].clone();
    let identifier = container["containerID"].as_str().expect("a container");
    let identifier = identifier.trim_start_matches("containerd://").to_owned();
    // Its first process; the others compile modules, and end with it.
    let processes = processes_of(&[identifier]).into_iter();
    let process = processes.min().expect("the container has a process");
    signal(&process.to_string(), "-KILL");
    let begun = Instant::now();
    while restarts(&namespace.json(&pods)) != Some(1) {
        assert!(
            begun.elapsed() < TEST_TIMEOUT,
            "the container does not start again"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let shell = Shell::start(&namespace, None).await;
    shell
        .get_until("hello", "/", |answer| {
            answer.as_ref().is_ok_and(|answer| answer.status == 200)
        })
        .await;
    namespace.delete().await;
}
