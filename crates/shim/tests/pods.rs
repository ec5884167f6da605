//! Containers of pods as clients of the CRI make them: names that the Kubernetes API would not take, and containers that
//! join the processes of another one.

mod support;

use serde_json::{Value, json};
use support::bundle::{Bundle, drain};
use support::network::Network;
use support::{LOOP, Node, Shim, may_run, message};

const KIND: &str = "io.kubernetes.cri.container-type";
const SANDBOX: &str = "io.kubernetes.cri.sandbox-id";
const NAME: &str = "io.kubernetes.cri.container-name";

/// A pod with nothing in it but its sandbox.
struct Pod {
    node: Node,
    network: Network,
    shim: Shim,
    /// The number that containerd takes for the sandbox's process.
    pid: u32,
}

impl Pod {
    async fn new() -> Self {
        let node = Node::new().await;
        let network = Network::new();
        let bundle = node
            .bundle("pod")
            .annotate(KIND, "sandbox")
            .annotate(SANDBOX, "pod")
            .network(network.path())
            .finish();
        let shim = node.start(&bundle).await;
        shim.create(&bundle).await.expect("created");
        let pid = shim.start_task("pod").await.expect("started");
        Self {
            node,
            network,
            shim,
            pid,
        }
    }

    /// A container's bundle, with the process namespace that is asked for.
    fn container(&self, id: &str, processes: &Value) -> Bundle {
        let own = format!("/proc/{}/ns", self.pid);
        let namespaces = json!([
            processes, { "type": "mount" },
            { "type": "ipc", "path": format!("{own}/ipc") },
            { "type": "uts", "path": format!("{own}/uts") },
            { "type": "network", "path": self.network.path() },
        ]);
        self.node
            .bundle(id)
            .annotate(KIND, "container")
            .annotate(SANDBOX, "pod")
            .set("/linux/namespaces", namespaces)
    }

    async fn start(&self, bundle: &Bundle) -> u32 {
        self.shim.create(bundle).await.expect("created");
        let started = self.shim.start_task(bundle.id()).await;
        started.expect("started")
    }

    async fn stop(&self, id: &str) {
        // It may have ended.
        let _ = self.shim.kill(id, 9).await;
        self.shim.wait(id).await.expect("ended");
        self.shim.delete(id).await.expect("deleted");
    }

    async fn end(self) {
        self.stop("pod").await;
        self.shim.shut_down().await;
        drop(self.shim);
        self.node.leaves_nothing().await;
    }
}

#[tokio::test]
async fn a_container_is_debugged_from_one_that_joins_its_processes() {
    async fn check(target: impl FnOnce(Bundle) -> Bundle, expected: &str) {
        let pod = Pod::new().await;
        let target = target(pod.container("target", &json!({ "type": "pid" }))).finish();
        let process = pod.start(&target).await;
        let namespace = json!({ "type": "pid", "path": format!("/proc/{process}/ns/pid") });
        let debugger = pod
            .container("debugger", &namespace)
            .script("cat /proc/1/comm")
            .with_pipes()
            .finish();
        let (stdout, _stderr) = (debugger.reader("stdout"), debugger.reader("stderr"));
        pod.start(&debugger).await;
        let exit = pod.shim.wait("debugger").await.expect("ended");
        assert_eq!(exit.exit_status, 0);
        assert_eq!(drain(stdout), expected);
        pod.stop("debugger").await;
        pod.stop("target").await;
        pod.end().await;
    }
    if !may_run() {
        return;
    }
    let function = |bundle: Bundle| bundle.annotate(NAME, "function").module(LOOP);
    check(function, "function\n").await;
    let program = |bundle: Bundle| bundle.busybox(&["sleep", "1000"]);
    check(program, "busybox\n").await;
}

#[tokio::test]
async fn containers_have_names_of_any_length() {
    if !may_run() {
        return;
    }
    let long =
        "container-for-a-test-with-a-name-that-is-longer-than-a-label-of-the-dns-may-be-0123456789";
    let pod = Pod::new().await;
    let own = || json!({ "type": "pid" });
    let program = pod
        .container("program", &own())
        .annotate(NAME, long)
        .busybox(&["true"])
        .finish();
    pod.start(&program).await;
    assert_eq!(
        pod.shim.wait("program").await.expect("ended").exit_status,
        0
    );
    pod.stop("program").await;
    let function = pod
        .container("function", &own())
        .annotate(NAME, long)
        .module(LOOP)
        .finish();
    pod.start(&function).await;
    pod.stop("function").await;
    // A name that is given to the function itself has its own rules.
    let named = pod
        .container("named", &own())
        .annotate("sampan.dev/function", long)
        .module(LOOP)
        .finish();
    let refused = message(pod.shim.create(&named).await);
    assert!(refused.contains("the most is 63"), "{refused}");
    pod.end().await;
}
