//! Calls of containerd that are repeated or come at the wrong time, by `ctr`.

use std::fs;

use sampan_cluster_tests::{Cluster, Node, hello, push, until};

use crate::TURN;

/// What the containers are called.
const ROUNDS: [&str; 2] = ["first", "second"];

/// `ctr` on a node, in a namespace of the test's own: the exit code and what it says.
fn ctr(cluster: &Cluster, node: &Node, words: &[&str]) -> (bool, String) {
    let output = cluster.ctr_within(node, "scenario-20").args(words).output();
    let output = output.expect("failed to start ctr");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// What is removed again however the test ends.
struct Scene<'a>(&'a Cluster, &'a Node);

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for round in ROUNDS {
            for words in [
                &["tasks", "delete", "--force", round][..],
                &["containers", "delete", round],
                &["snapshots", "remove", round],
            ] {
                // Whatever there is of it.
                let _ = ctr(self.0, self.1, words);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_20_whatever_containerd_asks_twice_is_answered_twice() {
    let _turn = TURN.lock().await;
    let cluster = Cluster::find();
    let node = &cluster.nodes[0];
    let image = push(&cluster, &hello(), "twice/hello");
    let run = |words: &[&str]| {
        let (good, said) = ctr(&cluster, node, words);
        assert!(good, "ctr {words:?}: {said}");
        said
    };
    let refused = |words: &[&str], why: &str| {
        let (good, said) = ctr(&cluster, node, words);
        assert!(!good && said.contains(why), "ctr {words:?}: {said}");
    };
    let scene = Scene(&cluster, node);
    run(&["images", "pull", "--local", "--plain-http", &image]);
    let group = format!("{}/scenario-20", node.cgroup);
    for round in ROUNDS {
        run(&[
            "run",
            "--detach",
            "--runtime",
            "io.containerd.sampan.v1",
            "--cgroup",
            &group,
            &image,
            round,
        ]);
        let tasks = run(&["tasks", "list"]);
        assert!(
            tasks.contains(round) && tasks.contains("RUNNING"),
            "{tasks}"
        );
        refused(&["tasks", "delete", round], "running");
        refused(
            &["tasks", "exec", "--exec-id", "x", round, "sh"],
            "not supported",
        );
        refused(&["tasks", "pause", "nobody"], "not found");
        run(&["tasks", "pause", round]);
        run(&["tasks", "resume", round]);
        run(&["tasks", "kill", "--signal", "SIGKILL", round]);
        until("it has ended", || {
            run(&["tasks", "list"]).contains("STOPPED")
        })
        .await;
        refused(
            &["tasks", "kill", "--signal", "SIGKILL", round],
            "already finished",
        );
        let (_, said) = ctr(&cluster, node, &["tasks", "delete", round]);
        assert!(!said.contains("panic"), "{said}");
        refused(&["tasks", "delete", round], "not found");
        run(&["containers", "delete", round]);
        refused(&["containers", "delete", round], "not found");
    }
    run(&["images", "remove", &image]);
    // containerd collects what the image had meanwhile, and who finds it gone complains.
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
    drop(scene);
    run(&["namespaces", "remove", "scenario-20"]);
}
