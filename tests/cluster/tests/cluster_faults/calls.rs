//! Calls of containerd that are repeated or come at the wrong time, by `ctr`.

use std::fs;
use std::path::{Path, PathBuf};

use sampan_cluster_tests::{Cluster, Node, hello, push, until};

use crate::TURN;

/// `ctr` on a node, in a namespace of the test's own: the exit code and what it says.
fn ctr(cluster: &Cluster, node: &Node, words: &[&str]) -> (bool, String) {
    let mut command = cluster.tool("ctr");
    command.arg("--address").arg(&node.containerd);
    let output = command
        .args(["--namespace", "scenario-20"])
        .args(words)
        .output();
    let output = output.expect("failed to start ctr");
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
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
    run(&["images", "pull", "--local", "--plain-http", &image]);
    let group = format!("{}/scenario-20", node.cgroup);
    for round in ["first", "second"] {
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
            "not found",
        );
        let (_, said) = ctr(&cluster, node, &["tasks", "delete", round]);
        assert!(!said.contains("panic"), "{said}");
        refused(&["tasks", "delete", round], "not found");
        run(&["containers", "delete", round]);
        refused(&["containers", "delete", round], "not found");
    }
    run(&["images", "remove", &image]);
    run(&["content", "prune", "references"]);
    let sockets = node.containerd.parent().unwrap().join("s");
    let names = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    until("no supervisor is left", || {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut lines =
            processes.map(|one| fs::read(one.path().join("cmdline")).unwrap_or_default());
        !lines.any(|line| String::from_utf8_lossy(&line).contains("scenario-20"))
    })
    .await;
    let sockets = names(&sockets);
    assert!(
        sockets
            .iter()
            .all(|socket| std::os::unix::net::UnixStream::connect(socket).is_ok()),
        "a socket leads nowhere: {sockets:?}"
    );
    run(&["namespaces", "remove", "scenario-20"]);
}
