//! Pods that have been there: nothing of them is left.

use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::wait::conditions;
use sampan_cluster_tests::{BUSYBOX, Namespace, Traces, hello, push};

/// How many pods of each runtime there are.
const PODS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn pods_leave_no_process_mount_group_socket_namespace_or_file() {
    let namespace = Namespace::create("leftovers").await;
    let image = push(namespace.cluster(), &hello(), "leftovers/hello");
    namespace.deploy("hello", &image, &format!("  replicas: {PODS}\n"));
    // The same number of ordinary containers, with the runtime that everybody has.
    namespace.apply(&format!(
        r"
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: beside }}
spec:
  replicas: {PODS}
  selector: {{ matchLabels: {{ app: beside }} }}
  template:
    metadata: {{ labels: {{ app: beside }} }}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {{ name: beside, image: '{BUSYBOX}', imagePullPolicy: Never, command: [sleep, '86400'] }}
"
    ));
    let ready = format!("--for=jsonpath={{.status.readyReplicas}}={PODS}");
    namespace
        .kubectl()
        .output(&["wait", "wfn/hello", &ready, "--timeout=120s"]);
    namespace
        .wait_for::<Deployment>("beside", "be whole", conditions::is_deployment_completed())
        .await;
    let traces = Traces::of(&namespace);
    let found = traces.find();
    // Each kind is found as long as it is there, or finding none later would say nothing. Every function is a
    // process and a supervisor, every container one and a shim and a pause.
    let check = |kind, least: usize| {
        let count = found.count(kind);
        eprintln!("{PODS} + {PODS} pods: {count} of the kind {kind}");
        assert!(count >= least, "{count} of the kind {kind}: {found:#?}");
    };
    check("process", 5 * PODS);
    check("mount", 2 * PODS);
    check("cgroup", 2 * PODS);
    check("network namespace", 2 * PODS);
    check("socket", 2 * PODS);
    check("lease", 2 * PODS);
    check("file", 2 * PODS);
    check("rule", 2 * PODS);
    namespace.delete().await;
    traces.wait_for_none();
}
