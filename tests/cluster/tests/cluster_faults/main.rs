//! What befalls nodes: a containerd that comes and goes, busy and full disks, readers that stall, an API server that
//! is away.

mod api_server;
mod calls;
mod churn;
mod disk;
mod operator;
mod readers;

use sampan_cluster_tests::Node;
use tokio::sync::Mutex;

/// Each of these does something to whole nodes, so they take turns.
static TURN: Mutex<()> = Mutex::const_new(());

/// A call from a node, past the API server: the status, or none without an answer.
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
