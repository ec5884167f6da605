//! The cluster under test, from its description file.

use std::env;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::Deserialize;

use crate::{Kubectl, Pending};

/// The variable with the path of the cluster's description.
const DESCRIPTION: &str = "SAMPAN_CLUSTER";

/// A cluster. A test may use all of it, but must not disturb other tests.
#[derive(Debug, Clone, Deserialize)]
pub struct Cluster {
    /// Its name for `cargo xtask cluster --name`.
    pub name: String,
    /// The administrator's kubeconfig, with an address that is reachable from here.
    pub kubeconfig: PathBuf,
    /// The registry's address, for pushes from here and for the kubelet's pulls.
    pub registry: String,
    /// The address of the same registry for pods.
    pub registry_in_cluster: String,
    /// The folder of `kubectl`, `helm`, `ctr`, `hey` and others.
    pub tools: PathBuf,
    /// The folder of the logs of the cluster's components.
    pub logs: PathBuf,
    /// The nodes, at least one.
    pub nodes: Vec<Node>,
}

/// A node of the cluster.
#[derive(Debug, Clone, Deserialize)]
pub struct Node {
    /// Its name in Kubernetes.
    pub name: String,
    /// Its address, reachable inside the cluster's network.
    pub address: IpAddr,
    /// The network namespace of its programs.
    pub netns: PathBuf,
    /// The socket of containerd.
    pub containerd: PathBuf,
    /// containerd's persistent folder.
    pub containerd_root: PathBuf,
    /// containerd's folder for the time that it runs.
    pub containerd_state: PathBuf,
    /// The kubelet's folder.
    pub kubelet_root: PathBuf,
    /// The folder that the kubelet sees in place of the machine's folder for device plugins.
    pub device_plugins: PathBuf,
    /// The control group of its pods, below each hierarchy.
    pub cgroup: String,
}

impl Cluster {
    /// The cluster that the environment names.
    pub fn find() -> Cluster {
        let file = env::var_os(DESCRIPTION).unwrap_or_else(|| {
            panic!(
                "{DESCRIPTION} is not set: these tests are run by `cargo xtask test cluster`, or after \
                 `cargo xtask cluster up` and eval \"$(cargo xtask cluster env)\""
            )
        });
        Cluster::read(Path::new(&file))
    }

    /// The cluster that a file describes.
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

    /// The real `kubectl`, as administrator.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.tools.join("kubectl"), self.kubeconfig.clone())
    }

    /// Another program of the cluster's tools, with its kubeconfig.
    pub fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(self.tools.join(name));
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }
}

impl Node {
    /// A program of the machine, inside the node's network.
    pub fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.netns.display()))
            .arg(program);
        command
    }
}
