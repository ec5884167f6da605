//! Saves a cluster's state between two commands: its checkout, its count of nodes and its ports on
//! this machine's loopback.
//!
//! Also writes the description that tests and tools read.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::arguments::{CgroupDriver, KubernetesVersion};
use super::layout::{Layout, Node, REGISTRY_PORT};

/// The metrics address of each node's containerd, inside the node's network.
pub(crate) const METRICS: &str = "127.0.0.1:1338";

/// Excludes other commands on the same cluster while it lives.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the lock is held by the open file")] File);

/// The saved state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SavedState {
    /// The checkout that the cluster was started from.
    pub(crate) checkout: PathBuf,
    pub(crate) nodes: usize,
    pub(crate) metrics_server: bool,
    /// Whether containerd has the project's runtime from the beginning.
    #[serde(default = "sampan_by_default")]
    pub(crate) sampan: bool,
    #[serde(default)]
    pub(crate) cgroup_driver: CgroupDriver,
    #[serde(default = "only_version_before")]
    pub(crate) kubernetes: KubernetesVersion,
    /// The API server's address on this machine's loopback.
    pub(crate) api: SocketAddr,
    /// The registry's address on this machine's loopback.
    pub(crate) registry: SocketAddr,
}

/// The value in states of older versions, which lack this field.
fn sampan_by_default() -> bool {
    true
}

/// The version in states of older checkouts, which lack this field.
fn only_version_before() -> KubernetesVersion {
    KubernetesVersion::V1_36
}

impl Lock {
    /// Makes the cluster's folder if it is missing, and locks it; waits for other commands.
    pub(crate) fn take(layout: &Layout) -> Result<Lock> {
        let state = layout.state();
        loop {
            fs::create_dir_all(&state)
                .with_context(|| format!("failed to make {}", state.display()))?;
            if let Some(lock) = Lock::take_existing(layout)? {
                return Ok(lock);
            }
        }
    }

    /// Locks the folder of an existing cluster; `None` if there is none.
    pub(crate) fn take_existing(layout: &Layout) -> Result<Option<Lock>> {
        let state = layout.state();
        let folder = match File::open(&state) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            folder => folder.with_context(|| format!("failed to open {}", state.display()))?,
        };
        if folder.try_lock().is_err() {
            eprintln!("  another command is running on this cluster; waiting");
            folder
                .lock()
                .context("failed to wait for another command")?;
        }
        // The previous holder may have removed the folder, and another command may have made a new
        // one.
        Ok(is_same(&folder, &state)?.then_some(Lock(folder)))
    }
}

fn is_same(open: &File, path: &Path) -> Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let is = open
        .metadata()
        .context("failed to read the metadata of a folder")?;
    match fs::metadata(path) {
        Ok(there) => Ok((is.dev(), is.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => {
            Err(error).with_context(|| format!("failed to read the metadata of {}", path.display()))
        }
    }
}

impl SavedState {
    /// Reads the state; `None` if there is no such cluster.
    pub(crate) fn read(layout: &Layout) -> Result<Option<SavedState>> {
        let file = file(layout);
        let bytes = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.with_context(|| format!("failed to read {}", file.display()))?,
        };
        let saved = serde_json::from_slice(&bytes);
        saved
            .map(Some)
            .with_context(|| format!("{} is damaged", file.display()))
    }

    pub(crate) fn write(&self, layout: &Layout) -> Result<()> {
        replace(&file(layout), &serde_json::to_vec_pretty(self)?)
    }

    /// Fails for a cluster of another checkout, which only an explicit name can lead to.
    pub(crate) fn check_checkout(&self, layout: &Layout, root: &Path) -> Result<()> {
        if self.checkout != root {
            bail!(
                "the cluster {} belongs to the checkout {}; choose another name",
                layout.name(),
                self.checkout.display()
            );
        }
        Ok(())
    }

    pub(crate) fn all_nodes(&self, layout: &Layout) -> Vec<Node> {
        (1..=self.nodes).map(|number| layout.node(number)).collect()
    }

    /// The control group above all pods of a node, as a path below each hierarchy.
    pub(crate) fn pods_group(&self, node: &Node) -> String {
        match self.cgroup_driver {
            CgroupDriver::Cgroupfs => node.control_group(),
            // The kubelet's own name for it.
            CgroupDriver::Systemd => "/kubepods.slice".to_owned(),
        }
    }

    /// The registry's address for the kubelet and for pods.
    pub(crate) fn registry_in_cluster(layout: &Layout) -> String {
        format!("{}:{REGISTRY_PORT}", layout.node(1).address())
    }

    /// All names of the registry. What was pushed to this machine's loopback can be pulled by that
    /// name, too.
    pub(crate) fn registries(&self, layout: &Layout) -> [String; 2] {
        [
            SavedState::registry_in_cluster(layout),
            self.registry.to_string(),
        ]
    }

    /// Writes the description that tests and tools read.
    pub(crate) fn describe(&self, layout: &Layout) -> Result<()> {
        let node = |node: Node| {
            json!({
                "name": node.name(),
                "address": node.address(),
                "netns": node.namespace_path(),
                "containerd": node.containerd_socket(),
                "containerd_root": node.containerd_root(),
                "containerd_state": node.containerd_state(),
                "shim_sockets": node.shim_sockets(),
                "shim_state": node.sampan(),
                "leases": node.leases().join(node.pod_network()),
                "pod_logs": node.pod_logs(),
                "kubelet_root": node.kubelet_root(),
                "device_plugins": node.device_plugins(),
                "cgroup": self.pods_group(&node),
                "containerd_log": layout.logs().join(format!("{}.log", node.component("containerd"))),
                "containerd_metrics": METRICS,
            })
        };
        let nodes: Vec<_> = self.all_nodes(layout).into_iter().map(node).collect();
        let description = json!({
            "name": layout.name().as_str(),
            "kubeconfig": layout.kubeconfig(),
            "registry": self.registry.to_string(),
            "registry_in_cluster": SavedState::registry_in_cluster(layout),
            "tools": layout.programs(),
            "logs": layout.logs(),
            "nodes": nodes,
        });
        replace(
            &layout.description(),
            &serde_json::to_vec_pretty(&description)?,
        )
    }
}

fn file(layout: &Layout) -> PathBuf {
    layout.state().join("memory.json")
}

fn replace(file: &Path, bytes: &[u8]) -> Result<()> {
    let unfinished = file.with_extension("new");
    fs::write(&unfinished, bytes)
        .and_then(|()| fs::rename(&unfinished, file))
        .with_context(|| format!("failed to write {}", file.display()))
}

/// A free address of this machine's loopback; the wanted one if it is free.
pub(crate) fn free_address(wanted: Option<SocketAddr>) -> Result<SocketAddr> {
    if let Some(wanted) = wanted.filter(|wanted| TcpListener::bind(wanted).is_ok()) {
        return Ok(wanted);
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .context("failed to find a free port")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stays_as_long_as_it_is_free() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert_ne!(free_address(Some(address)).unwrap(), address);
        drop(taken);
        assert_eq!(free_address(Some(address)).unwrap(), address);
        assert_ne!(free_address(None).unwrap().port(), 0);
    }
}
