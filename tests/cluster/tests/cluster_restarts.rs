//! Tests functions while a component below them is restarted or killed.

use std::fs;
use std::process::{Command, Stdio};

use k8s_openapi::api::core::v1::Pod;
use sampan_cluster_tests::{
    Cluster, Load, Namespace, Node, Shell, guest, hello, processes_of, push, status_of, until,
};
use tokio::sync::Mutex;

/// Held by each test, because each disturbs whole nodes.
static NODES_LOCK: Mutex<()> = Mutex::const_new(());

/// How often the published restarts are repeated.
const TIMES: usize = 5;

/// The names and restart counts of the function's pods.
async fn pods(namespace: &Namespace) -> Vec<(String, i32)> {
    let restarts = |pod: &Pod| {
        let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
        let counts = containers.iter().map(|container| container.restart_count);
        Some(counts.sum())
    };
    let mut pods: Vec<_> = namespace
        .pods_of("hello")
        .await
        .iter()
        .map(|pod| {
            let name = pod.metadata.name.clone().expect("a pod has a name");
            (name, restarts(pod).unwrap_or(0))
        })
        .collect();
    pods.sort();
    pods
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_15_functions_live_through_restarts_of_containerd() {
    let _lock = NODES_LOCK.lock().await;
    let namespace = Namespace::create("restarts").await;
    let image = push(namespace.cluster(), &hello(), "restarts/hello");
    namespace.deploy("hello", &image, "  replicas: 2\n");
    namespace.wait_until_ready("hello");
    let before = pods(&namespace).await;
    let shell = Shell::start(&namespace, None).await;
    let load = Load::start(&shell, "hello", "/").await;
    for time in 0..TIMES {
        for node in 1..=namespace.cluster().nodes.len() {
            let cluster = namespace.cluster();
            cluster.restart_containerd(node, time % 2 == 1);
        }
        load.wait_for_requests().await;
    }
    let outcome = load.stop().await;
    assert_eq!(outcome.bad, 0, "{outcome:?}");
    assert_eq!(pods(&namespace).await, before);
    let kubectl = namespace.kubectl();
    for (name, _) in &before {
        kubectl.output(&["logs", name]);
    }
    // Their deletion works as usual.
    namespace.delete().await;
}

/// Whether a client is connected to the function of a process.
fn is_called(process: i32) -> bool {
    ["tcp", "tcp6"].iter().any(|kind| {
        let connections = fs::read_to_string(format!("/proc/{process}/net/{kind}"));
        let connections = connections.expect("the function's process is there");
        // Its port is 8080, and the state is that of a connection.
        let mut lines = connections.lines().map(str::split_whitespace);
        lines.any(|mut words| {
            words.nth(1).is_some_and(|local| local.ends_with(":1F90")) && words.nth(1) == Some("01")
        })
    })
}

/// The events of a node's containerd, from now on.
struct Events {
    listener: std::process::Child,
    file: tempfile::NamedTempFile,
}

impl Events {
    async fn of(cluster: &Cluster, node: &Node) -> Events {
        let file = tempfile::NamedTempFile::new().expect("failed to make a file");
        let mut command = cluster.ctr_within(node, "k8s.io");
        command
            .arg("events")
            .stdout(file.reopen().expect("failed to open a file"))
            .stdin(Stdio::null());
        let listener = command.spawn().expect("failed to start ctr");
        let events = Events { listener, file };
        // Events are made until one arrives, which proves that the listener is connected.
        let mut heard = 0;
        until("ctr receives events", || {
            heard += 1;
            let image = format!("sampan.test/heard:{heard}");
            cluster.ctr(
                node,
                &["images", "tag", sampan_cluster_tests::BUSYBOX, &image],
            );
            cluster.ctr(node, &["images", "remove", &image]);
            events.read().contains(&image)
        })
        .await;
        events
    }

    fn read(&self) -> String {
        fs::read_to_string(self.file.path()).expect("failed to read a file")
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.listener.kill();
        let _ = self.listener.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_14_a_killed_supervisor_costs_its_pod_and_nothing_else() {
    let _lock = NODES_LOCK.lock().await;
    let namespace = Namespace::create("killed").await;
    let cluster = namespace.cluster().clone();
    let image = push(&cluster, &guest("probe"), "killed/probe");
    namespace.deploy("hello", &image, "  replicas: 1\n");
    namespace.wait_until_ready("hello");
    let (name, _) = pods(&namespace).await.remove(0);
    let pod = namespace.api::<Pod>().get(&name).await.unwrap();
    let node = cluster.node(&pod.spec.unwrap().node_name.unwrap());
    let containers = cluster.containers(node, namespace.name(), Some(&name));
    let processes = processes_of(&containers);
    let [process] = processes[..] else {
        panic!("a function is one process: {processes:?}");
    };
    let supervisor = status_of(process, "PPid");
    let sockets: Vec<_> = containers
        .iter()
        .filter_map(|container| node.shim_socket(container))
        .collect();
    assert!(!sockets.is_empty(), "{containers:?}");
    let events = Events::of(&cluster, node).await;
    let shell = Shell::start(&namespace, None).await;
    // A request without an answer yet.
    let asking = shell.try_get("hello", 80, "/never");
    let killing = async {
        until("the function is called", || is_called(process)).await;
        let killed = Command::new("kill").args(["-KILL", &supervisor]).status();
        assert!(killed.unwrap().success());
    };
    let (answer, ()) = tokio::join!(asking, killing);
    assert!(
        answer.is_err(),
        "there was no process to answer: {answer:?}"
    );
    // Each container's end is reported, no process lives on without a supervisor, and no socket is
    // left.
    until("no process is left", || {
        processes_of(&containers).is_empty()
    })
    .await;
    for container in &containers {
        until("the end was reported", || {
            let heard = events.read();
            let mut exits = heard.lines().filter(|line| line.contains("/tasks/exit"));
            exits.any(|line| line.contains(container))
        })
        .await;
    }
    for socket in &sockets {
        until("the socket is gone", || fs::metadata(socket).is_err()).await;
    }
    // The kubelet restarts it in the same pod.
    namespace
        .wait_for::<Pod>(&name, "be started again", |pod: Option<&Pod>| {
            let status = pod.and_then(|pod| pod.status.as_ref());
            let containers = status.and_then(|status| status.container_statuses.as_ref());
            containers.is_some_and(|containers| {
                containers
                    .iter()
                    .any(|container| container.restart_count > 0 && container.ready)
            })
        })
        .await;
    let said = shell
        .until(&["wget", "-q", "-O", "-", "http://hello/"])
        .await;
    assert_eq!(said, "probe");
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_gives_its_functions_to_the_other() {
    let _lock = NODES_LOCK.lock().await;
    let namespace = Namespace::create("drain").await;
    let image = push(namespace.cluster(), &hello(), "drain/hello");
    namespace.deploy("hello", &image, "  replicas: 2\n");
    namespace.wait_until_ready("hello");
    let nodes = namespace.cluster().nodes.clone();
    let [stays, drained] = &nodes[..] else {
        panic!("this needs a cluster of two nodes: {nodes:?}");
    };
    let kubectl = namespace.kubectl();
    let selector = "--pod-selector=sampan.dev/function=hello";
    let drain = [
        "drain",
        &drained.name,
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        selector,
        "--timeout=120s",
    ];
    let outcome = kubectl.run(&drain);
    let moved = async {
        assert!(outcome.status.success(), "{outcome:?}");
        namespace.wait_until_ready("hello");
        let path = "jsonpath={.items[*].spec.nodeName}";
        kubectl.output(&[
            "wait",
            "--for=jsonpath={.status.readyReplicas}=2",
            "wfn/hello",
            "--timeout=120s",
        ]);
        kubectl.output(&["get", "pods", "-l", "sampan.dev/function=hello", "-o", path])
    };
    let homes = moved.await;
    kubectl.output(&["uncordon", &drained.name]);
    assert_eq!(homes, format!("{0} {0}", stays.name));
    namespace.delete().await;
}
