//! Tests an API server that is down.

use sampan_cluster_tests::{
    Load, Namespace, Shell, cluster_command, hello, processes_of, push, signal, until,
};

use crate::{NODES_LOCK, call};

#[tokio::test(flavor = "multi_thread")]
async fn scenario_25_functions_answer_while_the_api_server_is_down() {
    let _lock = NODES_LOCK.lock().await;
    let namespace = Namespace::create("away").await;
    let cluster = namespace.cluster().clone();
    let image = push(&cluster, &hello(), "away/hello");
    namespace.deploy("hello", &image, "  replicas: 2\n");
    let two = "--for=jsonpath={.status.readyReplicas}=2";
    let kubectl = namespace.kubectl();
    kubectl.output(&["wait", "wfn/hello", two, "--timeout=120s"]);
    namespace.wait_until_reachable("hello");
    let pods = namespace.pods_of("hello").await;
    let pod = pods[0].metadata.name.clone().unwrap();
    let node = cluster.node(pods[0].spec.as_ref().unwrap().node_name.as_ref().unwrap());
    let containers = cluster.containers(node, namespace.name(), Some(&pod));
    let pod_address = pods[0].status.as_ref().unwrap().pod_ip.clone().unwrap();
    let address = namespace.service_address("hello");
    let shell = Shell::start(&namespace, None).await;
    let load = Load::start(&shell, "hello", "/").await;

    signal(&cluster.process_of("kube-apiserver"), "-KILL");
    until("the API server is down", || {
        !kubectl.run(&["get", "--raw", "/readyz"]).status.success()
    })
    .await;
    for _ in 0..50 {
        assert_eq!(call(node, &address, "/"), Some(200));
    }
    let outcome = async {
        // It is back with all of its objects.
        let up = cluster_command(&cluster.name, &["up", "--bare"]);
        assert!(up.status.success(), "{up:?}");
        load.wait_for_requests().await;
        load.stop().await
    };
    let outcome = outcome.await;
    assert_eq!(outcome.bad, 0, "{outcome:?}");
    assert!(outcome.good > 20, "{outcome:?}");

    // Once more. Now a function's process is killed; the kubelet restarts it without the API
    // server.
    signal(&cluster.process_of("kube-apiserver"), "-KILL");
    let old = processes_of(&containers);
    signal(&old[0].to_string(), "-KILL");
    until("it is started again", || {
        !processes_of(&containers).contains(&old[0])
            && call(node, &format!("{pod_address}:8080"), "/") == Some(200)
    })
    .await;
    let up = cluster_command(&cluster.name, &["up", "--bare"]);
    assert!(up.status.success(), "{up:?}");
    namespace.wait_until_ready("hello");
    namespace.wait_for_restart(&pod).await;
    // The operator goes on as well.
    kubectl.output(&["scale", "wfn", "hello", "--replicas=1"]);
    let one = "--for=jsonpath={.status.readyReplicas}=1";
    kubectl.output(&["wait", "wfn/hello", one, "--timeout=120s"]);
    namespace.delete().await;
}
