//! Tests the cluster itself: ordinary containers work on it as on any other. A failure of another
//! test is then not the cluster's.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{self, Pod};
use kube::runtime::wait::conditions;
use kube::{Api, ResourceExt as _};
use sampan_cluster_tests::{BUSYBOX, Cluster, Namespace, Shell};

#[tokio::test]
async fn all_nodes_are_ready() {
    let cluster = Cluster::find();
    let nodes: Api<v1::Node> = Api::all(cluster.client().await);
    for node in &cluster.nodes {
        let found = nodes.get(&node.name).await.unwrap();
        let status = found.status.unwrap();
        let ready = status.conditions.unwrap_or_default();
        let ready = ready.iter().find(|condition| condition.type_ == "Ready");
        assert_eq!(
            ready.map(|ready| ready.status.as_str()),
            Some("True"),
            "{ready:?}"
        );
        let addresses = status.addresses.unwrap_or_default();
        let address = node.address.to_string();
        assert!(
            addresses.iter().any(|has| has.address == address),
            "{addresses:?}"
        );
    }
}

#[test]
fn a_kubelet_listens_for_device_plugins_where_no_other_does() {
    for node in Cluster::find().nodes {
        let socket = node.device_plugins.join("kubelet.sock");
        let found = fs::metadata(&socket).map(|found| found.file_type().is_socket());
        assert!(matches!(found, Ok(true)), "{}: {found:?}", socket.display());
    }
}

#[tokio::test]
async fn a_container_runs_logs_and_takes_commands() {
    let namespace = Namespace::create("containers").await;
    namespace.apply(&format!(
        r"
apiVersion: v1
kind: Pod
metadata: {{ name: talker }}
spec:
  terminationGracePeriodSeconds: 0
  initContainers:
    - name: before
      image: {BUSYBOX}
      command: [sh, -c, 'echo prepared > /shared/note']
      volumeMounts: [{{ name: shared, mountPath: /shared }}]
  containers:
    - name: talker
      image: {BUSYBOX}
      command: [sh, -c, 'cat /shared/note; exec sleep 86400']
      volumeMounts: [{{ name: shared, mountPath: /shared }}]
  volumes: [{{ name: shared, emptyDir: {{}} }}]
"
    ));
    namespace
        .wait_for::<Pod>("talker", "run", conditions::is_pod_running())
        .await;
    let kubectl = namespace.kubectl();
    assert_eq!(kubectl.output(&["logs", "talker"]), "prepared\n");
    let said = kubectl.output(&["exec", "talker", "--", "cat", "/shared/note"]);
    assert_eq!(said, "prepared\n");
    let failed = kubectl.run(&["exec", "talker", "--", "sh", "-c", "exit 7"]);
    assert_eq!(failed.status.code(), Some(7), "{failed:?}");
    namespace.delete().await;
}

#[tokio::test]
async fn a_service_answers_by_its_name_from_every_node() {
    let namespace = Namespace::create("services").await;
    let nodes = &namespace.cluster().nodes;
    let serving = &nodes.last().unwrap().name;
    namespace.apply(&format!(
        r"
apiVersion: apps/v1
kind: Deployment
metadata: {{ name: web }}
spec:
  selector: {{ matchLabels: {{ app: web }} }}
  template:
    metadata: {{ labels: {{ app: web }} }}
    spec:
      nodeSelector: {{ kubernetes.io/hostname: {serving} }}
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: {BUSYBOX}
          command: [sh, -c, 'echo hello > /tmp/index.html; exec httpd -f -p 8080 -h /tmp']
          ports: [{{ name: http, containerPort: 8080 }}]
          readinessProbe: {{ httpGet: {{ port: http, path: / }}, periodSeconds: 1 }}
---
apiVersion: v1
kind: Service
metadata: {{ name: web }}
spec:
  selector: {{ app: web }}
  ports: [{{ port: 80, targetPort: http }}]
"
    ));
    namespace
        .wait_for::<Deployment>("web", "be available", conditions::is_deployment_completed())
        .await;
    for node in nodes {
        let shell = Shell::start(&namespace, Some(&node.name)).await;
        let short = shell.until(&["wget", "-q", "-O", "-", "http://web/"]).await;
        assert_eq!(short, "hello\n", "from {}", node.name);
        let name = format!("http://web.{}.svc.cluster.local/", namespace.name());
        let long = shell.run(&["wget", "-q", "-O", "-", &name]).await;
        assert_eq!(long, "hello\n", "from {}", node.name);
        // The cluster has no way out.
        let outside = shell
            .try_run(&["wget", "-q", "-O", "-", "http://sampan.example/"])
            .await;
        assert!(outside.unwrap_err().contains("bad address"));
    }
    namespace.delete().await;
}

#[tokio::test]
async fn an_image_pushed_from_here_is_pulled_under_both_names() {
    let namespace = Namespace::create("registry").await;
    let cluster = namespace.cluster();
    let (here, there) = (&cluster.registry, &cluster.registry_in_cluster);
    // The namespace's name is unique, so no node can have the image already.
    let pushed = format!("{here}/{}:1", namespace.name());
    let pulled = format!("{there}/{}:1", namespace.name());
    let first = &cluster.nodes[0];
    cluster.ctr(first, &["images", "tag", BUSYBOX, &pushed]);
    cluster.ctr(
        first,
        &["images", "push", "--local", "--plain-http", &pushed],
    );
    cluster.ctr(first, &["images", "remove", &pushed]);
    let node = &cluster.nodes.last().unwrap().name;
    for (name, image) in [("here", pushed), ("there", pulled)] {
        namespace.apply(&format!(
            r"
apiVersion: v1
kind: Pod
metadata: {{ name: {name} }}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers: [{{ name: main, image: '{image}', imagePullPolicy: Always, command: [sleep, '86400'] }}]
"
        ));
        namespace
            .wait_for::<Pod>(name, "run", conditions::is_pod_running())
            .await;
    }
    namespace.delete().await;
}

#[tokio::test]
async fn pods_reach_each_other_across_nodes() {
    let namespace = Namespace::create("pods").await;
    let nodes = &namespace.cluster().nodes;
    let (first, last) = (&nodes[0].name, &nodes.last().unwrap().name);
    let one = Shell::start(&namespace, Some(first)).await;
    let other = Shell::start(&namespace, Some(last)).await;
    let pod = namespace.api::<Pod>().get(other.pod()).await.unwrap();
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    let address = address.unwrap_or_else(|| panic!("{} has no address", pod.name_any()));
    let said = one.run(&["ping", "-c", "1", "-W", "5", &address]).await;
    assert!(said.contains("1 packets received"), "{said}");
    namespace.delete().await;
}
