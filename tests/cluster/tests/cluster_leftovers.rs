//! Tests that deleted pods leave nothing on their nodes.

use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::wait::conditions;
use sampan_cluster_tests::{BUSYBOX, LeftoverSearch, Namespace, hello, push};

/// How many pods of each runtime there are.
const PODS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn pods_leave_no_process_mount_group_socket_namespace_or_file() {
    let namespace = Namespace::create("leftovers").await;
    let image = push(namespace.cluster(), &hello(), "leftovers/hello");
    namespace.deploy("hello", &image, &format!("  replicas: {PODS}\n"));
    // The same number of ordinary containers, with the default runtime.
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
    let search = LeftoverSearch::of(&namespace);
    let found = search.find();
    // Each kind must be found while it exists, or the later search would prove nothing. Every
    // function is a process and a supervisor; every ordinary pod is a container, a shim and a pause
    // process.
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
    search.wait_for_none();
}
