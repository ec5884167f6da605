//! An operator that is away.

use std::process::Output;

use sampan_cluster_tests::{Cluster, Namespace, hello, push};

use crate::TURN;

/// The operator's release.
const SYSTEM: &str = "sampan-system";

/// No operator, until this is dropped.
struct Away {
    cluster: Cluster,
    replicas: String,
}

impl Away {
    fn begin(cluster: &Cluster) -> Away {
        let kubectl = cluster.kubectl().within(SYSTEM);
        let path = "jsonpath={.spec.replicas}";
        let replicas = kubectl.output(&["get", "deployment", "sampan-operator", "-o", path]);
        let away = Away {
            cluster: cluster.clone(),
            replicas,
        };
        let scaled = away.scale("0");
        assert!(scaled.status.success(), "{scaled:?}");
        let pods = ["wait", "pods", "-l", "app.kubernetes.io/component=operator"];
        let gone = ["--for=delete", "--timeout=120s"];
        kubectl.output(&[pods.as_slice(), &gone].concat());
        away
    }

    fn scale(&self, replicas: &str) -> Output {
        let kubectl = self.cluster.kubectl().within(SYSTEM);
        let replicas = format!("--replicas={replicas}");
        kubectl.run(&["scale", "deployment", "sampan-operator", &replicas])
    }
}

impl Drop for Away {
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
            eprintln!("the operator is still away: {scaled:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_29_what_is_deleted_while_the_operator_is_away_is_gone() {
    let _turn = TURN.lock().await;
    let first = Namespace::create("deleted").await;
    let second = Namespace::create("emptied").await;
    let cluster = first.cluster().clone();
    let image = push(&cluster, &hello(), "deleted/hello");
    for namespace in [&first, &second] {
        namespace.deploy("hello", &image, "  replicas: 1\n");
        namespace.wait_until_ready("hello");
    }
    let away = Away::begin(&cluster);
    // One function, and a whole namespace: nothing waits for the operator.
    let kubectl = first.kubectl();
    kubectl.output(&["delete", "wfn", "hello", "--timeout=60s"]);
    let kinds = "deployment,replicaset,pod,service,endpointslice";
    first.until(&["get", kinds, "-o", "name"], |said| {
        !said.contains("hello")
    });
    second.delete().await;
    // What was changed meanwhile is looked at when it is back.
    first.deploy("hello", &image, "  replicas: 1\n");
    drop(away);
    first.wait_until_ready("hello");
    first.delete().await;
}
