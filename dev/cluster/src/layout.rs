//! Lists the folders, names and addresses of a cluster, in one place. Nothing here touches any of
//! them.

use std::env;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::name::Name;

/// The longest path of the state folder, in bytes. Beyond it, sockets deep in a kubelet's folder
/// have longer paths than the kernel takes.
const MAX_STATE_PATH_LENGTH: usize = 60;

/// The registry's port inside the cluster, on the first node.
pub(crate) const REGISTRY_PORT: u16 = 5000;
/// The API server's port inside the cluster, on the first node.
pub(crate) const API_PORT: u16 = 6443;
/// The address range of Services.
pub(crate) const SERVICES: &str = "10.96.0.0/16";
/// The address of the API server's Service.
pub(crate) const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// The address of the name server's Service.
pub(crate) const DNS_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// The address range of pods.
pub(crate) const PODS: &str = "10.244.0.0/16";

/// The paths and names of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    name: Name,
    clusters: PathBuf,
}

/// The paths and names of a node.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Counted from 1.
    pub(crate) number: usize,
    cluster: String,
    state: PathBuf,
    run: PathBuf,
}

impl Layout {
    pub(crate) fn new(name: Name) -> Result<Layout> {
        let set = |name| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let states = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
        let states = states.context(
            "failed to find the folder for the cluster's files: set XDG_STATE_HOME or HOME",
        )?;
        let layout = Layout {
            name,
            clusters: states.join("sampan/clusters"),
        };
        let state = layout.state();
        if !state.is_absolute() || state.as_os_str().len() > MAX_STATE_PATH_LENGTH {
            bail!(
                "sockets cannot be made in {}: the path must be absolute and have at most \
                 {MAX_STATE_PATH_LENGTH} characters; set XDG_STATE_HOME to a shorter one",
                state.display()
            );
        }
        Ok(layout)
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// The folder of all clusters of this user.
    pub(crate) fn clusters(&self) -> &Path {
        &self.clusters
    }

    /// Files that outlive a restart of the machine, and are removed by `down`.
    pub(crate) fn state(&self) -> PathBuf {
        self.clusters.join(self.name.as_str())
    }

    /// The folder of sockets and other files that need a short path.
    pub(crate) fn run(&self) -> PathBuf {
        Path::new("/run").join(self.name.prefix())
    }

    /// The description that tests and tools read.
    pub(crate) fn description(&self) -> PathBuf {
        self.state().join("cluster.json")
    }

    /// The administrator's kubeconfig, with an address on this machine's loopback.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.state().join("kubeconfig")
    }

    /// The programs, as links into the cache.
    pub(crate) fn programs(&self) -> PathBuf {
        self.state().join("bin")
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs().join(name)
    }

    /// The network plugins of containerd. They have a folder of their own, because one has the name
    /// of a program of the machine.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.state().join("plugins")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.state().join("logs")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.state().join("pki")
    }

    /// The control group above all others of the cluster, as a path below each hierarchy.
    pub(crate) fn control_group(&self) -> String {
        format!("/{}", self.name.prefix())
    }

    /// The network namespace that holds the bridge between the nodes.
    pub(crate) fn switch(&self) -> String {
        format!("{}-switch", self.name.prefix())
    }

    /// A node, counted from 1.
    pub(crate) fn node(&self, number: usize) -> Node {
        Node {
            number,
            cluster: self.name.prefix(),
            state: self.state().join("nodes").join(number.to_string()),
            run: self.run().join(number.to_string()),
        }
    }
}

impl Node {
    pub(crate) fn name(&self) -> String {
        format!("node-{}", self.number)
    }

    /// The name of a component of this node, such as `kubelet-1`.
    pub(crate) fn component(&self, what: &str) -> String {
        format!("{what}-{}", self.number)
    }

    /// Its address, from a range for documentation.
    pub(crate) fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, 10 + self.octet())
    }

    /// Its range of the pods' addresses.
    pub(crate) fn pods(&self) -> String {
        format!("10.244.{}.0/24", self.octet())
    }

    fn octet(&self) -> u8 {
        // The command line allows no more than 20 nodes.
        u8::try_from(self.number).unwrap_or(u8::MAX - 10)
    }

    /// The network namespace.
    pub(crate) fn namespace(&self) -> String {
        format!("{}-{}", self.cluster, self.number)
    }

    pub(crate) fn namespace_path(&self) -> PathBuf {
        Path::new("/run/netns").join(self.namespace())
    }

    /// The name of the pods' network, which names the plugins' files.
    pub(crate) fn pod_network(&self) -> String {
        format!("{}-{}-pods", self.cluster, self.number)
    }

    /// The control group above all pods, as a path below each hierarchy.
    pub(crate) fn control_group(&self) -> String {
        format!("/{}/{}", self.cluster, self.name())
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    pub(crate) fn run(&self) -> &Path {
        &self.run
    }

    pub(crate) fn containerd_root(&self) -> PathBuf {
        self.state.join("containerd")
    }

    pub(crate) fn containerd_state(&self) -> PathBuf {
        self.run.join("containerd")
    }

    pub(crate) fn containerd_socket(&self) -> PathBuf {
        self.run.join("containerd.sock")
    }

    /// The sockets of shims; containerd allows 38 characters.
    pub(crate) fn shim_sockets(&self) -> PathBuf {
        self.run.join("s")
    }

    /// The leases of pods' addresses.
    pub(crate) fn leases(&self) -> PathBuf {
        self.run.join("leases")
    }

    /// The folder of drop-ins for containerd's configuration.
    pub(crate) fn drop_ins(&self) -> PathBuf {
        self.state.join("conf.d")
    }

    pub(crate) fn kubelet_root(&self) -> PathBuf {
        self.state.join("kubelet")
    }

    /// The folder that the kubelet sees in place of the machine's folder for device plugins.
    pub(crate) fn device_plugins(&self) -> PathBuf {
        self.state.join("device-plugins")
    }

    pub(crate) fn pod_logs(&self) -> PathBuf {
        self.state.join("pod-logs")
    }

    /// The shim's files of this node.
    pub(crate) fn sampan(&self) -> PathBuf {
        self.state.join("sampan")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_share_nothing_and_socket_folders_stay_short() {
        let layout = Layout {
            name: "a2345678901234567890".parse().unwrap(),
            clusters: PathBuf::from("/s/clusters"),
        };
        let (one, two) = (layout.node(1), layout.node(2));
        assert_eq!(one.address().to_string(), "192.0.2.11");
        assert_eq!(two.pods(), "10.244.2.0/24");
        assert_ne!(one.namespace(), two.namespace());
        assert_ne!(one.control_group(), two.control_group());
        assert_ne!(one.kubelet_root(), two.kubelet_root());
        assert_ne!(one.containerd_socket(), two.containerd_socket());
        let sockets = layout.node(20).shim_sockets();
        assert!(sockets.as_os_str().len() <= 38, "{}", sockets.display());
    }
}
