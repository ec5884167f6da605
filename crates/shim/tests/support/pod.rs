//! A pod with a running sandbox, and containers for it, as clients of the CRI make them.

use containerd_shim::protos::ttrpc;
use serde_json::{Value, json};

use super::bundle::Bundle;
use super::network::Network;
use super::{Node, Shim};

/// The annotation with the kind: `sandbox` or `container`.
pub(crate) const KIND: &str = "io.kubernetes.cri.container-type";

/// The annotation with the sandbox of a container.
pub(crate) const SANDBOX: &str = "io.kubernetes.cri.sandbox-id";

/// The annotation with a container's name.
pub(crate) const NAME: &str = "io.kubernetes.cri.container-name";

/// The program of a sandbox, which runs once containers share a process namespace.
pub(crate) const PROGRAM: [&str; 2] = ["sleep", "7777"];

/// A pod with nothing in it but its sandbox.
pub(crate) struct Pod {
    pub(crate) node: Node,
    network: Network,
    pub(crate) sandbox: Bundle,
    pub(crate) shim: Shim,
    /// The number that containerd takes for the sandbox's process.
    pub(crate) pid: u32,
}

impl Pod {
    pub(crate) async fn new() -> Self {
        let (node, network) = (Node::new().await, Network::new());
        let sandbox = node
            .bundle("pod")
            .annotate(KIND, "sandbox")
            .annotate(SANDBOX, "pod")
            .network(network.path())
            .busybox(&PROGRAM)
            .finish();
        let shim = node.start(&sandbox).await;
        let pid = shim.run(&sandbox).await;
        Self {
            node,
            network,
            sandbox,
            shim,
            pid,
        }
    }

    /// A container in this process namespace.
    pub(crate) fn container(&self, id: &str, processes: &Value) -> Bundle {
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

    /// Starts a container as containerd does. Returns the number of its first process.
    pub(crate) async fn run(&self, bundle: &Bundle) -> u32 {
        self.node.start(bundle).await;
        self.shim.run(bundle).await
    }

    /// Ends a container, which may have ended, and deletes it.
    pub(crate) async fn stop(&self, id: &str) {
        let killed = self.shim.kill(id, 9).await;
        let code = super::code(&killed);
        assert!(
            matches!(code, None | Some(ttrpc::Code::NOT_FOUND)),
            "{killed:?}"
        );
        self.shim.ended(id).await;
    }

    pub(crate) async fn end(self) {
        self.stop("pod").await;
        self.shim.shut_down().await;
        drop(self.shim);
        self.node.leaves_nothing().await;
    }
}

/// A process namespace of a container's own.
pub(crate) fn own_processes() -> Value {
    json!({ "type": "pid" })
}

/// The process namespace of a process.
pub(crate) fn processes_of(pid: u32) -> Value {
    json!({ "type": "pid", "path": format!("/proc/{pid}/ns/pid") })
}
