//! What happens to functions when something below them is restarted or killed.

use std::fs;
use std::process::Command;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::runtime::wait::conditions;
use sampan_cluster_tests::{Load, Namespace, Shell, cluster_command, hello, push};
use tokio::sync::Mutex;

/// Each of these does something to whole nodes, so they take turns.
static TURN: Mutex<()> = Mutex::const_new(());

/// How often the published restarts are repeated.
const TIMES: usize = 5;

fn function(image: &str, replicas: usize) -> String {
    format!(
        "apiVersion: sampan.dev/v1alpha1\nkind: WasmFunction\nmetadata: {{ name: hello }}\nspec: {{ image: '{image}', replicas: {replicas} }}\n"
    )
}

fn wait_until_ready(namespace: &Namespace) {
    let kubectl = namespace.kubectl();
    kubectl.output(&[
        "wait",
        "--for=condition=Ready",
        "wfn/hello",
        "--timeout=120s",
    ]);
}

/// Names and restarts of the function's pods.
async fn pods(namespace: &Namespace) -> Vec<(String, i32)> {
    let of_function = ListParams::default().labels("sampan.dev/function=hello");
    let pods = namespace.api::<Pod>().list(&of_function).await;
    let pods = pods.expect("failed to list pods");
    let restarts = |pod: &Pod| {
        let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
        Some(
            containers
                .iter()
                .map(|container| container.restart_count)
                .sum(),
        )
    };
    let mut pods: Vec<_> = pods
        .items
        .iter()
        .map(|pod| {
            (
                pod.metadata.name.clone().expect("a pod has a name"),
                restarts(pod).unwrap_or(0),
            )
        })
        .collect();
    pods.sort();
    pods
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_15_functions_live_through_restarts_of_containerd() {
    let _turn = TURN.lock().await;
    let namespace = Namespace::create("restarts").await;
    let image = push(namespace.cluster(), &hello(), "restarts/hello");
    namespace.apply(&function(&image, 2));
    wait_until_ready(&namespace);
    let before = pods(&namespace).await;
    let shell = Shell::start(&namespace, None).await;
    let load = Load::start(&shell, "hello", "/").await;
    for time in 0..TIMES {
        for node in 1..=namespace.cluster().nodes.len() {
            let node = node.to_string();
            let mut words = vec!["restart-containerd", "--node", &node];
            if time % 2 == 1 {
                words.push("--kill");
            }
            let restarted = cluster_command(&namespace.cluster().name, &words);
            assert!(restarted.status.success(), "{restarted:?}");
        }
        load.more().await;
    }
    let outcome = load.stop().await;
    assert_eq!(outcome.bad, 0, "{outcome:?}");
    assert_eq!(pods(&namespace).await, before);
    let kubectl = namespace.kubectl();
    for (name, _) in &before {
        kubectl.output(&["logs", name]);
    }
    // They are deleted like any other.
    namespace.delete().await;
}

/// The process of a pod's supervisor: whoever adopted the first process of its container.
fn supervisor(pod: &str, containerd: &str, ctr: &std::path::Path) -> i32 {
    let containers = Command::new(ctr)
        .args([
            "--address",
            containerd,
            "--namespace",
            "k8s.io",
            "containers",
            "list",
        ])
        .arg(format!("labels.\"io.kubernetes.pod.name\"=={pod}"))
        .arg("--quiet")
        .output()
        .expect("failed to start ctr");
    let containers = String::from_utf8_lossy(&containers.stdout).into_owned();
    let ids: Vec<_> = containers.split_whitespace().collect();
    for process in fs::read_dir("/proc").expect("there is no /proc").flatten() {
        // Processes come and go meanwhile.
        let groups = fs::read_to_string(process.path().join("cgroup")).unwrap_or_default();
        let is_of_pod = |line: &str| ids.iter().any(|id| line.ends_with(id));
        if groups.lines().any(is_of_pod) {
            let status = fs::read_to_string(process.path().join("status")).unwrap_or_default();
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
            return parent.expect("a parent").trim().parse().expect("a number");
        }
    }
    panic!("no process is the supervisor of {pod}: {containers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_14_a_killed_supervisor_costs_its_pod_and_nothing_else() {
    let _turn = TURN.lock().await;
    let namespace = Namespace::create("killed").await;
    let image = push(namespace.cluster(), &hello(), "killed/hello");
    namespace.apply(&function(&image, 1));
    wait_until_ready(&namespace);
    let (name, _) = pods(&namespace).await.remove(0);
    let pod = namespace.api::<Pod>().get(&name).await.unwrap();
    let node = pod.spec.unwrap().node_name.unwrap();
    let nodes = &namespace.cluster().nodes;
    let node = nodes.iter().find(|known| known.name == node).unwrap();
    let containerd = node.containerd.to_string_lossy();
    let pid = supervisor(&name, &containerd, &namespace.cluster().tools.join("ctr"));
    let killed = Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status();
    assert!(killed.unwrap().success());
    // The kubelet starts it again, in the same pod.
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
    let shell = Shell::start(&namespace, None).await;
    let said = shell
        .until(&["wget", "-q", "-O", "-", "http://hello/"])
        .await;
    assert!(!said.is_empty());
    namespace
        .wait_for::<Pod>(&name, "run", conditions::is_pod_running())
        .await;
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_gives_its_functions_to_the_other() {
    let _turn = TURN.lock().await;
    let namespace = Namespace::create("drain").await;
    let image = push(namespace.cluster(), &hello(), "drain/hello");
    namespace.apply(&function(&image, 2));
    wait_until_ready(&namespace);
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
        wait_until_ready(&namespace);
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
