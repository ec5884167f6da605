//! Tests an operator that is down.

use std::process::Output;

use sampan_cluster_tests::{Cluster, Namespace, hello, push};

use crate::NODES_LOCK;

/// The namespace of the operator's release.
const SYSTEM: &str = "sampan-system";

/// Keeps the operator scaled to zero, until this is dropped.
struct ScaledDown {
    cluster: Cluster,
    replicas: String,
}

impl ScaledDown {
    fn begin(cluster: &Cluster) -> ScaledDown {
        let kubectl = cluster.kubectl().within(SYSTEM);
        let path = "jsonpath={.spec.replicas}";
        let replicas = kubectl.output(&["get", "deployment", "sampan-operator", "-o", path]);
        let scaled_down = ScaledDown {
            cluster: cluster.clone(),
            replicas,
        };
        let scaled = scaled_down.scale("0");
        assert!(scaled.status.success(), "{scaled:?}");
        let pods = ["wait", "pods", "-l", "app.kubernetes.io/component=operator"];
        let gone = ["--for=delete", "--timeout=120s"];
        kubectl.output(&[pods.as_slice(), &gone].concat());
        scaled_down
    }

    fn scale(&self, replicas: &str) -> Output {
        let kubectl = self.cluster.kubectl().within(SYSTEM);
        let replicas = format!("--replicas={replicas}");
        kubectl.run(&["scale", "deployment", "sampan-operator", &replicas])
    }
}

impl Drop for ScaledDown {
    fn drop(&mut self) {
        let scaled = self.scale(&self.replicas);
        let kubectl = self.cluster.kubectl().within(SYSTEM);
        let status = [
            "rollout",
            "status",
            "deployment/sampan-operator",
            "--timeout=120s",
        ];
        if !scaled.status.success() || !kubectl.run(&status).status.success() {
            eprintln!("the operator is still down: {scaled:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_29_deletions_complete_while_the_operator_is_down() {
    let _lock = NODES_LOCK.lock().await;
    let first = Namespace::create("deleted").await;
    let second = Namespace::create("emptied").await;
    let cluster = first.cluster().clone();
    let image = push(&cluster, &hello(), "deleted/hello");
    for namespace in [&first, &second] {
        namespace.deploy("hello", &image, "  replicas: 1\n");
        namespace.wait_until_ready("hello");
    }
    let scaled_down = ScaledDown::begin(&cluster);
    // One function, and a whole namespace: no deletion waits for the operator.
    let kubectl = first.kubectl();
    kubectl.output(&["delete", "wfn", "hello", "--timeout=60s"]);
    let kinds = "deployment,replicaset,pod,service,endpointslice";
    first.until(&["get", kinds, "-o", "name"], |said| {
        !said.contains("hello")
    });
    second.delete().await;
    // The operator picks up earlier changes when it is back.
    first.deploy("hello", &image, "  replicas: 1\n");
    drop(scaled_down);
    first.wait_until_ready("hello");
    first.delete().await;
}
