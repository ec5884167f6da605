//! Tests pods with systemd's cgroup driver: limits, their change in place, metrics and eviction.
//!
//! They run in the emulated machine of `cargo xtask test vm`, where they read the groups
//! themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::wait::conditions;
use sampan_cluster_tests::{BUSYBOX, Namespace, hello, push, push_image, staged};

/// How long compiling nine modules may take under emulation.
const ALL_READY: &str = "--timeout=1200s";

/// How long the kubelet may take to detect memory pressure, and metrics to appear.
const TIMEOUT: Duration = Duration::from_mins(10);

/// Whether systemd manages the cluster's groups.
fn is_systemd(namespace: &Namespace) -> bool {
    let group = &namespace.cluster().nodes[0].cgroup;
    assert!(
        group.contains(".slice") || std::env::var_os("CI").is_none(),
        "these tests need a cluster with `--cgroup-driver systemd`: `cargo xtask test vm`"
    );
    group.contains(".slice")
}

/// The nine functions, by the folders in which they are staged.
fn functions() -> Vec<String> {
    let folder = staged("");
    let entries = fs::read_dir(&folder).expect("the staged functions");
    let mut names: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("function.yaml").is_file())
        .map(|path| {
            path.file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

/// The contents of the files with this name in the groups of a pod.
fn files_of(namespace: &Namespace, pod: &str, name: &str) -> Vec<String> {
    let uid = namespace
        .kubectl()
        .output(&["get", "pod", pod, "-o", "jsonpath={.metadata.uid}"]);
    let uid = uid.replace('-', "_");
    let root = Path::new("/sys/fs/cgroup/kubepods.slice");
    let mut waiting = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = waiting.pop() {
        let is_scope = folder.extension().is_some_and(|kind| kind == "scope");
        if is_scope && folder.to_string_lossy().contains(&uid) {
            found.extend(fs::read_to_string(folder.join(name)));
        }
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        waiting.extend(
            entries
                .map(|entry| entry.path())
                .filter(|path: &PathBuf| path.is_dir()),
        );
    }
    found.sort();
    found.iter().map(|text| text.trim().to_owned()).collect()
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < TIMEOUT, "still not: {what}");
        thread::sleep(Duration::from_millis(200));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_function_becomes_ready() {
    let namespace = Namespace::create("nine").await;
    if !is_systemd(&namespace) {
        return namespace.delete().await;
    }
    let names = functions();
    assert_eq!(names.len(), 9, "{names:?}");
    for name in &names {
        let file = staged(&format!("{name}/function.yaml"));
        let image = push(namespace.cluster(), &file, &format!("nine/{name}"));
        namespace.deploy(name, &image, "  replicas: 1\n");
    }
    let kubectl = namespace.kubectl();
    kubectl.output(&["wait", "--for=condition=Ready", "wfn", "--all", ALL_READY]);
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_changed_in_place_and_metrics_are_served() {
    let namespace = Namespace::create("resize").await;
    if !is_systemd(&namespace) {
        return namespace.delete().await;
    }
    let image = push_image(namespace.cluster(), &hello(), "resize/hello");
    namespace.apply(&format!(
        r"
apiVersion: v1
kind: Pod
metadata: {{ name: both }}
spec:
  runtimeClassName: sampan
  terminationGracePeriodSeconds: 5
  containers:
    - name: function
      image: '{image}'
      resources: {{ requests: {{ cpu: 100m, memory: 64Mi }}, limits: {{ cpu: 500m, memory: 128Mi }} }}
    - name: beside
      image: {BUSYBOX}
      imagePullPolicy: Never
      command: [sleep, '86400']
      resources: {{ requests: {{ cpu: 100m, memory: 64Mi }}, limits: {{ cpu: 500m, memory: 128Mi }} }}
"
    ));
    namespace
        .wait_for::<Pod>("both", "run", conditions::is_pod_running())
        .await;
    assert_eq!(files_of(&namespace, "both", "cpu.max"), ["50000 100000"; 2]);
    assert_eq!(files_of(&namespace, "both", "memory.max"), ["134217728"; 2]);
    let kubectl = namespace.kubectl();
    let container = |name: &str| {
        format!(
            r#"{{"name":"{name}","resources":{{"requests":{{"cpu":"200m"}},"limits":{{"cpu":"750m","memory":"256Mi"}}}}}}"#
        )
    };
    let patch = format!(
        r#"{{"spec":{{"containers":[{},{}]}}}}"#,
        container("function"),
        container("beside")
    );
    kubectl.output(&[
        "patch",
        "pod",
        "both",
        "--subresource",
        "resize",
        "--patch",
        &patch,
    ]);
    let is_resized = || {
        files_of(&namespace, "both", "cpu.max") == ["75000 100000"; 2]
            && files_of(&namespace, "both", "memory.max") == ["268435456"; 2]
    };
    until("the pod has its other limits", is_resized);
    let reload = Command::new("systemctl").arg("daemon-reload").status();
    assert!(reload.expect("systemctl starts").success());
    assert!(is_resized(), "systemd kept them");
    let weights = files_of(&namespace, "both", "cpu.weight");
    assert_eq!(weights[0], weights[1], "of 200m");
    let restarts = "jsonpath={.status.containerStatuses[*].restartCount}";
    assert_eq!(
        kubectl.output(&["get", "pod", "both", "-o", restarts]),
        "0 0"
    );
    until("metrics of both containers", || {
        let output = kubectl.run(&["top", "pod", "both", "--containers", "--no-headers"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success() && said.contains("function") && said.contains("beside")
    });
    namespace.delete().await;
}

/// The node's memory becomes short, and the kubelet, not the kernel, ends the pod that uses it.
#[tokio::test(flavor = "multi_thread")]
async fn the_pod_that_takes_a_nodes_memory_is_evicted() {
    let namespace = Namespace::create("evict").await;
    if !is_systemd(&namespace) {
        return namespace.delete().await;
    }
    let image = push_image(namespace.cluster(), &hello(), "evict/hello");
    namespace.apply(&format!(
        r"
apiVersion: v1
kind: Pod
metadata: {{ name: greedy }}
spec:
  runtimeClassName: sampan
  terminationGracePeriodSeconds: 5
  containers:
    - {{ name: function, image: '{image}' }}
    - name: takes
      image: {BUSYBOX}
      imagePullPolicy: Never
      # Slowly enough for a kubelet that looks every ten seconds.
      command: [sh, -c, 'i=0; while true; do dd if=/dev/zero of=/memory/$i bs=1M count=16 2>/dev/null; i=$((i+1)); usleep 700000; done']
      volumeMounts: [{{ name: memory, mountPath: /memory }}]
  volumes: [{{ name: memory, emptyDir: {{ medium: Memory }} }}]
"
    ));
    let kubectl = namespace.kubectl();
    until("the pod is evicted", || {
        let output = kubectl.run(&[
            "get",
            "pod",
            "greedy",
            "-o",
            "jsonpath={.status.phase} {.status.reason}",
        ]);
        String::from_utf8_lossy(&output.stdout) == "Failed Evicted"
    });
    let message = kubectl.output(&["get", "pod", "greedy", "-o", "jsonpath={.status.message}"]);
    assert!(message.contains("memory"), "{message}");
    namespace.delete().await;
}
