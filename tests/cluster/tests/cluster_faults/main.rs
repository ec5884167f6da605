//! Tests faults of nodes: restarts of containerd, busy and full disks, stalled readers of logs, and
//! an API server or an operator that is down, for functions in pods and in a pool.

mod api_server;
mod calls;
mod churn;
mod disk;
mod operator;
mod pooled;
mod pooled_load;
mod readers;

use sampan_cluster_tests::Node;
use tokio::sync::Mutex;

/// Held by each test, because each disturbs whole nodes.
static NODES_LOCK: Mutex<()> = Mutex::const_new(());

/// Calls a path from a node, past the API server. Returns the status, or `None` without an answer.
fn call(node: &Node, address: &str, path: &str) -> Option<u16> {
    let output = node
        .inside("curl")
        .args(["--silent", "--max-time", "20", "--output", "/dev/null"])
        .args(["--write-out", "%{http_code}"])
        .arg(format!("http://{address}{path}"))
        .output()
        .expect("failed to start curl");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.parse().ok().filter(|_| output.status.success())
}
