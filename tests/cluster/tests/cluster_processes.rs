//! Tests process namespaces of pods: shared by all containers, and joined by a container that
//! debugs another.

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::wait::conditions;
use sampan_cluster_tests::{BUSYBOX, Namespace, hello, push_image, until};

/// Prints the name and the state of every process that a container sees.
const LIST: [&str; 3] = [
    "sh",
    "-c",
    "for p in /proc/[0-9]*; do grep -h -E '^(Name|State)' $p/status | cut -f 2 | xargs; done",
];

#[tokio::test(flavor = "multi_thread")]
async fn containers_share_a_process_namespace_with_a_first_process_that_reaps() {
    let namespace = Namespace::create("share").await;
    let image = push_image(namespace.cluster(), &hello(), "share/hello");
    // The inner shell's child loses its parent.
    namespace.apply(&format!(
        r#"
apiVersion: v1
kind: Pod
metadata: {{ name: shared }}
spec:
  runtimeClassName: sampan
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 1
  containers:
    - {{ name: hello, image: '{image}' }}
    - name: beside
      image: {BUSYBOX}
      imagePullPolicy: Never
      command: [sh, -c, 'sh -c "sleep 0.1 &"; exec sleep 86400']
"#
    ));
    namespace
        .wait_for::<Pod>("shared", "run", conditions::is_pod_running())
        .await;
    let kubectl = namespace.kubectl();
    let exec = ["exec", "shared", "-c", "beside", "--"];
    let list = || kubectl.output(&[&exec[..], &LIST].concat());
    let listed = list();
    for expected in ["pause", "hello", "sleep"] {
        assert!(
            listed.lines().any(|line| line.starts_with(expected)),
            "{expected}: {listed}"
        );
    }
    let first = kubectl.output(&[&exec[..], &["cat", "/proc/1/comm"]].concat());
    assert_eq!(first, "pause\n");
    until("no process is left to be reaped", || {
        let listed = list();
        let sleepers = listed.lines().filter(|line| line.starts_with("sleep"));
        sleepers.count() == 1 && !listed.contains("zombie")
    })
    .await;
    namespace.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_debugs_a_function_sees_its_process() {
    let namespace = Namespace::create("debug").await;
    let image = push_image(namespace.cluster(), &hello(), "debug/hello");
    namespace.apply(&format!(
        r"
apiVersion: v1
kind: Pod
metadata: {{ name: hello }}
spec:
  runtimeClassName: sampan
  terminationGracePeriodSeconds: 1
  containers: [{{ name: hello, image: '{image}' }}]
"
    ));
    namespace
        .wait_for::<Pod>("hello", "run", conditions::is_pod_running())
        .await;
    let kubectl = namespace.kubectl();
    let image = format!("--image={BUSYBOX}");
    let debug = [
        "debug",
        "hello",
        "--target=hello",
        "--container=looker",
        "--profile=general",
        "--image-pull-policy=Never",
        &image,
        "--",
        "cat",
        "/proc/1/comm",
    ];
    kubectl.output(&debug);
    let said = namespace.until(&["logs", "hello", "-c", "looker"], |said| !said.is_empty());
    assert_eq!(said, "hello\n");
    namespace.delete().await;
}
