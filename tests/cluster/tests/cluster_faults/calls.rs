//! Tests containerd's calls that are repeated or out of order, with `ctr`.

use std::fs;

use sampan_cluster_tests::{Cluster, Node, hello, push_image, until};

use crate::NODES_LOCK;

/// The names of the containers.
const CONTAINERS: [&str; 2] = ["first", "second"];

/// Runs `ctr` on a node, in a namespace of the test's own: whether it succeeded, and its output.
fn ctr(cluster: &Cluster, node: &Node, words: &[&str]) -> (bool, String) {
    let output = cluster.ctr_within(node, "scenario-20").args(words).output();
    let output = output.expect("failed to start ctr");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// Removes the containers if the test panics.
struct Cleanup<'a>(&'a Cluster, &'a Node);

impl Drop for Cleanup<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for container in CONTAINERS {
            for words in [
                &["tasks", "delete", "--force", container][..],
                &["containers", "delete", container],
                &["snapshots", "remove", container],
            ] {
                // Each of these may not exist.
                let _ = ctr(self.0, self.1, words);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_20_repeated_calls_of_containerd_are_answered() {
    let _lock = NODES_LOCK.lock().await;
    let cluster = Cluster::find();
    let node = &cluster.nodes[0];
    let image = push_image(&cluster, &hello(), "twice/hello");
    let run = |words: &[&str]| {
        let (good, said) = ctr(&cluster, node, words);
        assert!(good, "ctr {words:?}: {said}");
        said
    };
    let refused = |words: &[&str], why: &str| {
        let (good, said) = ctr(&cluster, node, words);
        assert!(!good && said.contains(why), "ctr {words:?}: {said}");
    };
    let cleanup = Cleanup(&cluster, node);
    run(&["images", "pull", "--local", "--plain-http", &image]);
    let group = format!("{}/scenario-20", node.cgroup);
    for container in CONTAINERS {
        run(&[
            "run",
            "--detach",
            "--runtime",
            "io.containerd.sampan.v1",
            "--cgroup",
            &group,
            &image,
            container,
        ]);
        let tasks = run(&["tasks", "list"]);
        assert!(
            tasks.contains(container) && tasks.contains("RUNNING"),
            "{tasks}"
        );
        refused(&["tasks", "delete", container], "running");
        refused(
            &["tasks", "exec", "--exec-id", "x", container, "sh"],
            "not supported",
        );
        refused(&["tasks", "pause", "absent"], "not found");
        run(&["tasks", "pause", container]);
        run(&["tasks", "resume", container]);
        run(&["tasks", "kill", "--signal", "SIGKILL", container]);
        until("it has ended", || {
            run(&["tasks", "list"]).contains("STOPPED")
        })
        .await;
        refused(
            &["tasks", "kill", "--signal", "SIGKILL", container],
            "already finished",
        );
        let (_, said) = ctr(&cluster, node, &["tasks", "delete", container]);
        assert!(!said.contains("panic"), "{said}");
        refused(&["tasks", "delete", container], "not found");
        run(&["containers", "delete", container]);
        refused(&["containers", "delete", container], "not found");
    }
    run(&["images", "remove", &image]);
    // containerd collects the image's content meanwhile, and the command fails if it finds content
    // removed.
    until("nothing of the image is left", || {
        ctr(&cluster, node, &["content", "prune", "references"]).0
    })
    .await;
    until("no supervisor is left", || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut lines =
            processes.map(|one| fs::read(one.path().join("cmdline")).unwrap_or_default());
        !lines.any(|line| String::from_utf8_lossy(&line).contains("scenario-20"))
    })
    .await;
    drop(cleanup);
    run(&["namespaces", "remove", "scenario-20"]);
}
