//! What a cluster remembers between two commands: whose it is, how many nodes it has, its ports on this
//! machine's loopback; and the description that tests and tools read.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::arguments::CgroupDriver;
use super::layout::{Layout, Node, REGISTRY_PORT};

/// Where each node's containerd tells its metrics, inside the node's network.
pub(crate) const METRICS: &str = "127.0.0.1:1338";

/// Keeps two commands on one cluster apart, as long as it lives.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "the lock is held by the open file")] File);

/// What is remembered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// The checkout that it was started from.
    pub(crate) checkout: PathBuf,
    pub(crate) nodes: usize,
    pub(crate) metrics_server: bool,
    /// Whether containerd knows the project's runtime from the beginning.
    #[serde(default = "known")]
    pub(crate) sampan: bool,
    #[serde(default)]
    pub(crate) cgroup_driver: CgroupDriver,
    /// The API server's, on this machine's loopback.
    pub(crate) api: SocketAddr,
    /// The registry's.
    pub(crate) registry: SocketAddr,
}

/// Clusters of before always had it.
fn known() -> bool {
    true
}

impl Lock {
    /// Takes the cluster's folder, made if it is missing; waits for others.
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

    /// Nothing if there is no such cluster.
    pub(crate) fn take_existing(layout: &Layout) -> Result<Option<Lock>> {
        let state = layout.state();
        let folder = match File::open(&state) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            folder => folder.with_context(|| format!("failed to open {}", state.display()))?,
        };
        if folder.try_lock().is_err() {
            eprintln!("  another command is at work on this cluster; waiting");
            folder
                .lock()
                .context("failed to wait for another command")?;
        }
        // Whoever held it may have removed it, and somebody may have made it anew.
        Ok(is_same(&folder, &state)?.then_some(Lock(folder)))
    }
}

fn is_same(open: &File, path: &Path) -> Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let is = open.metadata().context("failed to look at a folder")?;
    match fs::metadata(path) {
        Ok(there) => Ok((is.dev(), is.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("failed to look at {}", path.display())),
    }
}

impl Memory {
    /// Nothing of a cluster that never was.
    pub(crate) fn read(layout: &Layout) -> Result<Option<Memory>> {
        let file = file(layout);
        let bytes = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.with_context(|| format!("failed to read {}", file.display()))?,
        };
        let memory = serde_json::from_slice(&bytes);
        memory
            .map(Some)
            .with_context(|| format!("{} is damaged", file.display()))
    }

    pub(crate) fn write(&self, layout: &Layout) -> Result<()> {
        replace(&file(layout), &serde_json::to_vec_pretty(self)?)
    }

    /// Refuses the cluster of another checkout, which only a name that was given can lead to.
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

    /// How the registry is called by the kubelet and by pods.
    pub(crate) fn registry_in_cluster(layout: &Layout) -> String {
        format!("{}:{REGISTRY_PORT}", layout.node(1).address())
    }

    /// All names of the registry: what was pushed to this machine's loopback is pulled by that name, too.
    pub(crate) fn registries(&self, layout: &Layout) -> [String; 2] {
        [
            Memory::registry_in_cluster(layout),
            self.registry.to_string(),
        ]
    }

    /// Writes what tests and tools read.
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
            "registry_in_cluster": Memory::registry_in_cluster(layout),
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

/// An address of this machine's loopback that is free: the wanted one if it is.
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
