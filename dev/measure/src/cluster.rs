//! The Kubernetes cluster to measure: its description by `cargo xtask cluster up`, and a client.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::Deserialize;

/// The variable with the path of the cluster's description.
const DESCRIPTION: &str = "SAMPAN_CLUSTER";

/// A running cluster, as described.
#[derive(Clone, Debug, Deserialize)]
pub struct Cluster {
    kubeconfig: PathBuf,
    /// The registry of images, as reachable from here.
    pub registry: String,
    /// The same registry, as pods reach it.
    pub registry_in_cluster: String,
    /// The folder of the cluster's programs.
    pub tools: PathBuf,
    /// Its nodes, in the order of their numbers.
    pub nodes: Vec<Node>,
}

/// A node of the cluster.
#[derive(Clone, Debug, Deserialize)]
pub struct Node {
    /// Its name in Kubernetes.
    pub name: String,
    /// The path of its network namespace.
    pub netns: PathBuf,
    /// The file of containerd's log.
    pub containerd_log: PathBuf,
    /// The address of containerd's metrics, inside the network namespace.
    pub containerd_metrics: std::net::SocketAddr,
    /// The socket of containerd, which every shim of the node gets as an argument.
    pub containerd: PathBuf,
    /// containerd's persistent folder.
    pub containerd_root: PathBuf,
    /// The folder of containerd's running tasks.
    pub containerd_state: PathBuf,
    /// The folder of the shims' sockets.
    pub shim_sockets: PathBuf,
    /// The shim's files of this node.
    pub shim_state: PathBuf,
    /// The folder of the leases of pods' addresses, named after their network.
    pub leases: PathBuf,
    /// The folder of the pods' logs.
    pub pod_logs: PathBuf,
    /// The folder of the kubelet.
    pub kubelet_root: PathBuf,
    /// The control group above all others of the node.
    pub cgroup: PathBuf,
}

impl Cluster {
    /// The cluster that `cargo xtask bench` has started.
    pub fn find() -> Result<Self> {
        let path = std::env::var_os(DESCRIPTION)
            .map(PathBuf::from)
            .context("SAMPAN_CLUSTER is not set; start this with `cargo xtask bench`")?;
        let text =
            std::fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{} describes no cluster", path.display()))
    }

    /// A client with the rights of an administrator.
    pub async fn client(&self) -> Result<Client> {
        let file = Kubeconfig::read_from(&self.kubeconfig)?;
        let config =
            kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }

    /// The name of an image for a pod that pulls it itself, as a pool does.
    ///
    /// # Errors
    ///
    /// When the image is not in the cluster's registry.
    pub fn image_in_cluster(&self, image: &str) -> Result<String> {
        let name = image.strip_prefix(&self.registry);
        let name = name.filter(|name| name.starts_with('/'));
        let name = name.with_context(|| {
            format!(
                "{image} is not in the cluster's registry, {}",
                self.registry
            )
        })?;
        Ok(format!("{}{name}", self.registry_in_cluster))
    }

    /// The node that pods are measured on.
    pub fn node(&self) -> Result<&Node> {
        self.nodes.first().context("the cluster has no nodes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_pulls_by_the_registry_s_name_in_the_cluster() {
        let cluster = Cluster {
            kubeconfig: PathBuf::new(),
            registry: "127.0.0.1:5001".to_owned(),
            registry_in_cluster: "192.0.2.11:5000".to_owned(),
            tools: PathBuf::new(),
            nodes: Vec::new(),
        };
        let check = |image: &str, expected: Option<&str>| {
            let found = cluster.image_in_cluster(image).ok();
            assert_eq!(found.as_deref(), expected, "{image}");
        };
        check(
            "127.0.0.1:5001/bench/aes:wasm-1",
            Some("192.0.2.11:5000/bench/aes:wasm-1"),
        );
        check("127.0.0.1:50012/bench/aes:wasm-1", None);
        check("registry.example/aes:1", None);
    }
}
