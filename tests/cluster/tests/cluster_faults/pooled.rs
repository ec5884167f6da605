//! Tests pooled functions while the API server is down.

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use sampan_cluster_tests::pooled::{deploy, wait_until_placed};
use sampan_cluster_tests::{
    Namespace, Shell, cluster_command, guest, processes_of, push, signal, until,
};

use crate::{NODES_LOCK, call};

#[tokio::test(flavor = "multi_thread")]
async fn pooled_functions_answer_while_the_api_server_is_down_also_after_a_kill() {
    let _lock = NODES_LOCK.lock().await;
    let namespace = Namespace::create("pooled-away").await;
    let cluster = namespace.cluster().clone();
    let image = push(&cluster, &guest("probe"), "pooled-away/probe");
    namespace.make_secret("secrets", "token", "known to few");
    let env =
        "  env: [{ name: TOKEN, valueFrom: { secretKeyRef: { name: secrets, key: token } } }]\n";
    deploy(&namespace, "probe", &image, env);
    wait_until_placed(&namespace, "probe", "Pooled");
    namespace.wait_until_reachable("probe");
    let pods = namespace.api::<Pod>();
    let of_pool = ListParams::default().labels("sampan.dev/pool");
    let pod = pods.list(&of_pool).await.expect("a list").items.remove(0);
    let pod_name = pod.metadata.name.expect("a pod has a name");
    let node = pod.spec.and_then(|spec| spec.node_name);
    let node = cluster.node(&node.expect("the pod runs"));
    let containers = cluster.containers(node, namespace.name(), Some(&pod_name));
    let address = namespace.service_address("probe");
    let kubectl = namespace.kubectl();

    signal(&cluster.process_of("kube-apiserver"), "-KILL");
    until("the API server is down", || {
        !kubectl.run(&["get", "--raw", "/readyz"]).status.success()
    })
    .await;
    for _ in 0..50 {
        assert_eq!(call(node, &address, "/"), Some(200));
    }
    // The first process is the pool; the others compile modules, and end with it.
    let process = processes_of(&containers).into_iter().min();
    let process = process.expect("the container has a process");
    signal(&process.to_string(), "-KILL");
    until("the pool serves again", || {
        let processes = processes_of(&containers);
        !processes.contains(&process) && call(node, &address, "/") == Some(200)
    })
    .await;
    let up = cluster_command(&cluster.name, &["up", "--bare"]);
    assert!(up.status.success(), "{up:?}");

    // It has what it had, in the same pod, and hears of changes again.
    let shell = Shell::start(&namespace, None).await;
    let has = async |value: &str| {
        let pair = format!("(\"TOKEN\", {value:?})");
        shell
            .get_until("probe", "/variables", |answer| {
                answer
                    .as_ref()
                    .is_ok_and(|answer| answer.text().contains(&pair))
            })
            .await;
    };
    has("known to few").await;
    namespace.wait_for_restart(&pod_name).await;
    let changed = "{\"stringData\":{\"token\":\"changed\"}}";
    kubectl.output(&["patch", "secret", "secrets", "--type=merge", "-p", changed]);
    has("changed").await;
    namespace.delete().await;
}
