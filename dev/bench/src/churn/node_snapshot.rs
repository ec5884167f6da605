//! Lists the resources of pods on a node: processes, mounts, control groups, network namespaces,
//! sockets and files.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sampan_measure::cluster::Node;

/// The folder of the network plugins' results.
const RESULTS: &str = "/var/lib/cni/results";

/// The names of everything that a pod may leave behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeSnapshot(BTreeSet<String>);

impl NodeSnapshot {
    /// The current names.
    pub(super) fn take(node: &Node) -> Result<Self> {
        let mut found = BTreeSet::new();
        processes(node, &mut found)?;
        mounts(node, &mut found)?;
        for hierarchy in entries(Path::new("/sys/fs/cgroup"))? {
            let name = node.cgroup.strip_prefix("/").unwrap_or(&node.cgroup);
            groups(
                &Path::new("/sys/fs/cgroup").join(hierarchy).join(name),
                &mut found,
            )?;
        }
        let state = |below: &str| node.containerd_state.join(below);
        let folders = [
            ("bundle", state("io.containerd.runtime.v2.task/k8s.io")),
            ("sandbox", state("io.containerd.grpc.v1.cri/sandboxes")),
            ("container", state("io.containerd.grpc.v1.cri/containers")),
            (
                "network namespace",
                state("io.containerd.grpc.v1.cri/netns"),
            ),
            (
                "state of runc",
                node.containerd_state.with_file_name("runc").join("k8s.io"),
            ),
            (
                "snapshot",
                node.containerd_root
                    .join("io.containerd.snapshotter.v1.overlayfs/snapshots"),
            ),
            ("socket", node.shim_sockets.clone()),
            ("file of the shim", node.shim_state.clone()),
            ("address", node.leases.clone()),
            ("log", node.pod_logs.clone()),
            ("pod of the kubelet", node.kubelet_root.join("pods")),
        ];
        for (kind, folder) in folders {
            for name in entries(&folder)? {
                found.insert(format!("{kind} {name}"));
            }
        }
        results(node, &mut found)?;
        Ok(Self(found))
    }

    /// The names that this snapshot lacks. Returns when there are none, or when none has
    /// disappeared for the timeout. The kubelet removes the sandboxes of deleted pods once a
    /// minute, one after another.
    pub(super) async fn leftovers(&self, node: &Node, timeout: Duration) -> Result<Leftovers> {
        let (mut least, mut since) = (usize::MAX, Instant::now());
        loop {
            let now = Self::take(node)?;
            let left: Vec<String> = now.0.difference(&self.0).cloned().collect();
            if left.len() < least {
                (least, since) = (left.len(), Instant::now());
            }
            if left.is_empty() || since.elapsed() > timeout {
                return Ok(Leftovers(left));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// The names that were left behind.
pub(super) struct Leftovers(Vec<String>);

impl Leftovers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("nothing");
        }
        write!(formatter, "{} things", self.0.len())?;
        self.0
            .iter()
            .take(20)
            .try_for_each(|name| write!(formatter, "\n  {name}"))
    }
}

/// The processes of the node's shims and pods, by number. A process that is in a later snapshot was
/// left.
fn processes(node: &Node, found: &mut BTreeSet<String>) -> Result<()> {
    let socket = node.containerd.display().to_string();
    let group = node.cgroup.display().to_string();
    for name in entries(Path::new("/proc"))? {
        if name.parse::<u32>().is_err() {
            continue;
        }
        // It may have ended since.
        let read = |file| fs::read(format!("/proc/{name}/{file}")).unwrap_or_default();
        let (line, groups) = (read("cmdline"), read("cgroup"));
        let line = String::from_utf8_lossy(&line);
        let is_shim = line.contains("containerd-shim-") && line.contains(&socket);
        if is_shim || is_below(&String::from_utf8_lossy(&groups), &group) {
            found.insert(format!("process {name} {}", line.replace('\0', " ")));
        }
    }
    Ok(())
}

/// Whether one of a process's groups is below a node's group.
fn is_below(groups: &str, node: &str) -> bool {
    let mut paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.any(|path| {
        path.strip_prefix(node)
            .is_some_and(|below| below.starts_with('/'))
    })
}

/// Mounts of tasks, sandboxes and pods.
fn mounts(node: &Node, found: &mut BTreeSet<String>) -> Result<()> {
    let text = fs::read_to_string("/proc/self/mounts").context("failed to read the mounts")?;
    let points = text.lines().filter_map(|line| line.split(' ').nth(1));
    let folders = [
        &node.containerd_state,
        &node.containerd_root,
        &node.kubelet_root,
    ];
    found.extend(
        points
            .filter(|point| {
                folders
                    .iter()
                    .any(|folder| Path::new(point).starts_with(folder))
            })
            .map(|point| format!("mount {point}")),
    );
    Ok(())
}

/// The network plugins' results for each interface, in one folder for all networks.
fn results(node: &Node, found: &mut BTreeSet<String>) -> Result<()> {
    let network = node.leases.file_name().context("a network has no name")?;
    let prefix = format!("{}-", network.to_string_lossy());
    let names = entries(Path::new(RESULTS))?;
    let ours = names.into_iter().filter(|name| name.starts_with(&prefix));
    found.extend(ours.map(|name| format!("result of the network {name}")));
    Ok(())
}

/// A control group and all groups below it.
fn groups(group: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    for name in entries(group)? {
        let below = group.join(name);
        if below.is_dir() {
            found.insert(format!("control group {}", below.display()));
            groups(&below, found)?;
        }
    }
    Ok(())
}

/// The names in a folder; empty if there is no such folder.
fn entries(folder: &Path) -> Result<Vec<String>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect(),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error).with_context(|| format!("failed to read {}", folder.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_below_a_node_is_of_its_pods() {
        fn check(groups: &str, expected: bool) {
            assert_eq!(is_below(groups, "/sampan-a/node-1"), expected, "{groups}");
        }
        check(
            "4:cpu,cpuacct:/sampan-a/node-1/kubepods/pod1/c1\n0::/\n",
            true,
        );
        check("0::/sampan-a/node-1/k8s.io/c1\n", true);
        check("4:cpu:/sampan-a/node-1\n", false);
        check("4:cpu:/sampan-a/node-10/kubepods\n", false);
        check("4:cpu:/sampan-b/node-1/kubepods\n", false);
        check("", false);
    }
}
