//! The cluster under test, as it describes itself.

use std::env;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::Deserialize;

use crate::{Kubectl, Pending};

/// Names the description of the cluster.
const DESCRIPTION: &str = "SAMPAN_CLUSTER";

/// A cluster, of which every test may use everything but must spare the others.
#[derive(Debug, Clone, Deserialize)]
pub struct Cluster {
    /// What `cargo xtask cluster --name` calls it.
    pub name: String,
    /// The administrator's, usable from here.
    pub kubeconfig: PathBuf,
    /// Where images are pushed to from here, and pulled from by the kubelet.
    pub registry: String,
    /// What pods call the same registry.
    pub registry_in_cluster: String,
    /// The folder of `kubectl`, `helm`, `ctr`, `hey` and others.
    pub tools: PathBuf,
    /// Where every component of the cluster writes what it says.
    pub logs: PathBuf,
    /// The nodes, at least one.
    pub nodes: Vec<Node>,
}

/// One of its nodes.
#[derive(Debug, Clone, Deserialize)]
pub struct Node {
    /// As Kubernetes knows it.
    pub name: String,
    /// Reachable inside the cluster's network.
    pub address: IpAddr,
    /// The network namespace of its programs.
    pub netns: PathBuf,
    /// The socket.
    pub containerd: PathBuf,
    /// What containerd keeps.
    pub containerd_root: PathBuf,
    /// What containerd has as long as it runs.
    pub containerd_state: PathBuf,
    /// The kubelet's folder.
    pub kubelet_root: PathBuf,
    /// What the kubelet sees in the place of the machine's folder for plugins of devices.
    pub device_plugins: PathBuf,
    /// The control group of its pods, below each hierarchy.
    pub cgroup: String,
}

impl Cluster {
    /// The one that the environment names.
    pub fn find() -> Cluster {
        let file = env::var_os(DESCRIPTION).unwrap_or_else(|| {
            panic!(
                "{DESCRIPTION} is not set: these tests are run by `cargo xtask test cluster`, or after \
                 `cargo xtask cluster up` and eval \"$(cargo xtask cluster env)\""
            )
        });
        Cluster::read(Path::new(&file))
    }

    /// The one that a file describes.
    pub fn read(file: &Path) -> Cluster {
        let text = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    /// A client with all rights.
    pub fn client(&self) -> Pending<'_, Client> {
        Box::pin(self.connect())
    }

    async fn connect(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).expect("the kubeconfig is bad");
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let config = config.expect("the kubeconfig is bad");
        Client::try_from(config).expect("there is no client for the kubeconfig")
    }

    /// The real `kubectl`.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.tools.join("kubectl"), self.kubeconfig.clone())
    }

    /// One of the cluster's other programs, with its kubeconfig.
    pub fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(self.tools.join(name));
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }
}

impl Node {
    /// A program of the machine's, inside the node's network.
    pub fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.netns.display()))
            .arg(program);
        command
    }
}
