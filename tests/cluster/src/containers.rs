//! Inspects a pod in its node's containerd and in the kernel.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::{Cluster, Node};

/// The label that names a pod's namespace.
const NAMESPACE: &str = "io.kubernetes.pod.namespace";

/// The label that names a pod.
const POD: &str = "io.kubernetes.pod.name";

impl Cluster {
    /// The node with this name.
    pub fn node(&self, name: &str) -> &Node {
        let mut nodes = self.nodes.iter();
        nodes
            .find(|node| node.name == name)
            .unwrap_or_else(|| panic!("there is no node {name}"))
    }

    /// What `ctr` prints for a node's containerd, in the kubelet's namespace.
    pub fn ctr(&self, node: &Node, words: &[&str]) -> String {
        let output = self.ctr_within(node, "k8s.io").args(words).output();
        let output = output.expect("failed to start ctr");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ctr {words:?}: {said}");
        String::from_utf8(output.stdout).expect("ctr wrote invalid UTF-8")
    }

    /// `ctr` of a node's containerd, in one of its namespaces.
    pub fn ctr_within(&self, node: &Node, namespace: &str) -> Command {
        let mut command = self.tool("ctr");
        command.arg("--address").arg(&node.containerd);
        command.args(["--namespace", namespace]);
        command
    }

    /// The identifiers of a pod's containers, including its sandbox; those of all pods if none is
    /// named.
    pub fn containers(&self, node: &Node, namespace: &str, pod: Option<&str>) -> Vec<String> {
        let mut filter = format!("labels.\"{NAMESPACE}\"=={namespace}");
        if let Some(pod) = pod {
            filter = format!("{filter},labels.\"{POD}\"=={pod}");
        }
        let said = self.ctr(node, &["containers", "list", "--quiet", &filter]);
        said.split_whitespace().map(str::to_owned).collect()
    }
}

impl Node {
    /// The OCI specification of a container with a task, as containerd passed it to the shim.
    pub fn specification(&self, container: &str) -> Option<Value> {
        let bytes = fs::read(self.bundle(container).join("config.json")).ok()?;
        Some(serde_json::from_slice(&bytes).expect("a specification is JSON"))
    }

    /// The socket of the shim of a container with a task.
    pub fn shim_socket(&self, container: &str) -> Option<String> {
        let bundle = self.bundle(container);
        let read = |name: &str| fs::read_to_string(bundle.join(name)).ok();
        // Newer versions of containerd write JSON.
        let parameters = read("bootstrap.json")
            .and_then(|text| serde_json::from_str::<Value>(&text).ok())
            .and_then(|parameters| Some(parameters["address"].as_str()?.to_owned()));
        let address = parameters.or_else(|| read("address"))?;
        Some(address.trim_start_matches("unix://").to_owned())
    }

    fn bundle(&self, container: &str) -> std::path::PathBuf {
        self.containerd_state
            .join("io.containerd.runtime.v2.task/k8s.io")
            .join(container)
    }
}

/// The processes in the control groups of containers.
pub fn processes_of(containers: &[String]) -> Vec<i32> {
    let processes = fs::read_dir("/proc").expect("there is no /proc").flatten();
    processes
        .filter(|process| {
            // Processes may end during the search.
            let groups = fs::read_to_string(process.path().join("cgroup")).unwrap_or_default();
            let mut lines = groups.lines();
            lines.any(|line| containers.iter().any(|id| line.ends_with(id.as_str())))
        })
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .collect()
}

/// Sends a process a signal, such as `-KILL`.
pub fn signal(process: &str, kind: &str) {
    let sent = Command::new("kill").args([kind, process]).status();
    assert!(sent.expect("failed to start kill").success());
}

/// The parent of a process; `None` when the process has ended.
pub(crate) fn parent_of(process: i32) -> Option<i32> {
    let status = fs::read_to_string(status_file(process)).ok()?;
    let parent = field(&status, "PPid").expect("each process has a parent");
    Some(parent.parse().expect("a parent is a number"))
}

/// A field of a process's status in `/proc`, such as `PPid`.
pub fn status_of(process: i32, name: &str) -> String {
    let file = status_file(process);
    let status = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let value = field(&status, name);
    value
        .unwrap_or_else(|| panic!("{file} has no {name}: {status}"))
        .to_owned()
}

fn status_file(process: i32) -> String {
    format!("/proc/{process}/status")
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = status.lines().filter_map(|line| line.split_once(":\t"));
    let (_, value) = lines.find(|(found, _)| *found == name)?;
    Some(value.trim())
}
