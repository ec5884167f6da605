//! Tests output of functions that containerd does not read.

use sampan_cluster_tests::{Namespace, guest, push, signal};

use crate::{NODES_LOCK, call};

/// A stopped process, which continues when this is dropped.
struct Stopped(String);

impl Stopped {
    fn new(process: &str) -> Stopped {
        signal(process, "-STOP");
        Stopped(process.to_owned())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(&self.0, "-CONT");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_19_a_containerd_that_reads_no_logs_delays_no_function() {
    let _lock = NODES_LOCK.lock().await;
    let namespace = Namespace::create("stalled").await;
    let cluster = namespace.cluster().clone();
    let node = &cluster.nodes[0];
    let image = push(&cluster, &guest("probe"), "stalled/probe");
    let here = format!("  limits: {{ output: 1Mi }}\n{}", node.node_selector());
    namespace.deploy("probe", &image, &here);
    namespace.wait_until_ready("probe");
    let address = namespace.service_address("probe");
    let stopped = Stopped::new(&cluster.process_of("containerd-1"));
    // Far more than the pipe and the queue before it hold.
    for _ in 0..20 {
        assert_eq!(call(node, &address, "/print?200000"), Some(200));
    }
    drop(stopped);
    assert_eq!(call(node, &address, "/panic"), Some(500));
    // Later output arrives once containerd reads again, with a line about the lost lines.
    let said = namespace.until(&["logs", "deployment/probe"], |said| {
        said.contains("this is why")
    });
    assert!(said.contains("lines") && said.contains("red"), "{said}");
    namespace.delete().await;
}
