//! Tests pods that start and end while their node is disturbed: nothing of them is left.

use std::process::{Child, Command, Stdio};

use sampan_cluster_tests::{BUSYBOX, LeftoverSearch, Namespace, hello, push_image};

use crate::NODES_LOCK;

/// How many pods of each runtime start and end at once.
const PODS: usize = 4;

/// How often containerd is restarted meanwhile.
const RESTARTS: usize = 4;

/// How often pods start and end beside a busy disk.
const ROUNDS: usize = 2;

/// Pods of both runtimes, with a number at the end of their names.
fn pods(image: &str, round: usize) -> String {
    let pod = |name: &str, runtime: &str, container: &str| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{ name: {name}, labels: {{ round: '{round}' }} }}\nspec:\n  \
             {runtime}terminationGracePeriodSeconds: 1\n  containers: [{container}]\n"
        )
    };
    let all = (0..PODS).flat_map(|number| {
        let function = format!("{{ name: function, image: '{image}' }}");
        let program = format!(
            "{{ name: program, image: '{BUSYBOX}', imagePullPolicy: Never, command: [sleep, '86400'] }}"
        );
        [
            pod(
                &format!("function-{round}-{number}"),
                "runtimeClassName: sampan\n  ",
                &function,
            ),
            pod(&format!("program-{round}-{number}"), "", &program),
        ]
    });
    all.collect()
}

/// Waits until a round's pods run.
fn wait_until_running(namespace: &Namespace, round: usize) {
    let selector = format!("round={round}");
    let phases = "jsonpath={.items[*].status.phase}";
    let words = ["get", "pods", "-l", &selector, "-o", phases];
    namespace.until(&words, |said| {
        let phases: Vec<_> = said.split_whitespace().collect();
        phases.len() == 2 * PODS && phases.iter().all(|phase| *phase == "Running")
    });
}

fn begin_to_delete(namespace: &Namespace, round: usize) {
    let selector = format!("round={round}");
    let kubectl = namespace.kubectl();
    kubectl.output(&["delete", "pods", "-l", &selector, "--wait=false"]);
}

fn wait_until_gone(namespace: &Namespace, round: usize) {
    let selector = format!("round={round}");
    namespace.until(
        &["get", "pods", "-l", &selector, "-o", "name"],
        str::is_empty,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_15_pods_come_and_go_while_containerd_is_restarted() {
    let lock = NODES_LOCK.lock().await;
    let namespace = Namespace::create("comings").await;
    let cluster = namespace.cluster().clone();
    let image = push_image(&cluster, &hello(), "comings/hello");
    let mut searches = Vec::new();
    for round in 0..RESTARTS {
        // The restart hits pods at any point of their creation, start and end.
        namespace.apply(&pods(&image, round));
        if round > 0 {
            begin_to_delete(&namespace, round - 1);
        }
        for node in 1..=cluster.nodes.len() {
            cluster.restart_containerd(node, round % 2 == 1);
        }
        wait_until_running(&namespace, round);
        if round > 0 {
            wait_until_gone(&namespace, round - 1);
        }
        searches.push(LeftoverSearch::of_functions(&namespace));
    }
    // Other tests may go on while the kubelets clean up.
    drop(lock);
    namespace.delete().await;
    // Nothing of any round's functions is left, whichever call was interrupted. Some leftovers are
    // containerd's own. If it is killed while it deletes a bundle or calls the network plugins, it
    // leaves that folder, lease or rule. Now and then it also leaves a shim of runc.
    for search in searches {
        search.wait_for_none_of(&["process", "mount", "cgroup", "socket"]);
    }
}

/// A program that is ended when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself. On SIGTERM it ends its own children.
        let number = self.0.id().to_string();
        let _ = Command::new("kill").arg(number).status();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scenario_18_pods_come_and_go_beside_a_busy_disk() {
    let lock = NODES_LOCK.lock().await;
    let namespace = Namespace::create("busy").await;
    let cluster = namespace.cluster().clone();
    let image = push_image(&cluster, &hello(), "busy/hello");
    // On the disk of the nodes' files.
    let state = cluster.nodes[0].kubelet_root.parent().unwrap();
    let folder = tempfile::tempdir_in(state).unwrap();
    let stress = Command::new("stress-ng")
        .args([
            "--hdd",
            "2",
            "--hdd-bytes",
            "128M",
            "--hdd-opts",
            "wr-rnd,fsync",
        ])
        .args(["--timeout", "90", "--temp-path"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let stress = Running(stress.expect("failed to start stress-ng"));
    let mut searches = Vec::new();
    for round in 0..ROUNDS {
        namespace.apply(&pods(&image, round));
        wait_until_running(&namespace, round);
        searches.push(LeftoverSearch::of(&namespace));
        begin_to_delete(&namespace, round);
    }
    for round in 0..ROUNDS {
        wait_until_gone(&namespace, round);
    }
    drop(stress);
    // Other tests may go on while the kubelets clean up.
    drop(lock);
    namespace.delete().await;
    for search in searches {
        search.wait_for_none();
    }
}
