//! Parses the command line of `cargo xtask cluster`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use super::forward::Route;
use super::name::Name;

/// The options of `cargo xtask cluster`.
#[derive(Debug, Args)]
pub struct Cluster {
    /// The name of the cluster, instead of one made of the checkout's path
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) name: Option<Name>,

    #[command(subcommand)]
    pub(crate) command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Start the cluster, or the parts of it that do not run
    ///
    /// Builds Kubernetes, containerd and all else from Go modules, once, into your cache folder.
    /// The first time takes about a quarter of an hour on two cores. After that a cluster is up in
    /// seconds. Needs root, and no container engine. Called again it repairs what is missing, and
    /// pods go on meanwhile.
    Up(Up),
    /// Stop the cluster and remove all that it made: processes, mounts, namespaces, cgroups and files
    ///
    /// The built programs stay in your cache folder.
    Down,
    /// Say what runs, and where its logs are; fails unless all of it does
    Status,
    /// Print what makes a shell use the cluster: eval "$(cargo xtask cluster env)"
    Env,
    /// Put an image on every node: an OCI layout, as a folder or an archive
    ///
    /// Pods find it under its own name, with `imagePullPolicy: Never` or `IfNotPresent`.
    Load {
        /// The folder or file; one of `docker save` will do
        image: PathBuf,
    },
    /// Restart a node's containerd, as an upgrade of it does; pods go on meanwhile
    RestartContainerd {
        /// The node, counted from 1
        #[arg(long, default_value_t = 1, value_name = "N")]
        node: usize,

        /// End it at once, as a crash does
        #[arg(long)]
        kill: bool,
    },
    /// Run a command inside the cluster's network, where Services and pods have their addresses
    Exec {
        /// The node, counted from 1
        #[arg(long, default_value_t = 1, value_name = "N")]
        node: usize,

        /// The command, after `--`
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Pass connections from this machine's loopback into a network namespace
    #[command(hide = true)]
    Forward {
        #[arg(required = true)]
        routes: Vec<Route>,
    },
}

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct Up {
    /// How many nodes; a running cluster can get more, but not fewer
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=20))]
    pub(crate) nodes: Option<u8>,

    /// Kubernetes alone: without Sampan
    #[arg(long)]
    pub(crate) bare: bool,

    /// Sampan without the nine functions
    #[arg(long)]
    pub(crate) no_functions: bool,

    /// With the services behind two of the functions, even without the functions
    #[arg(long, conflicts_with = "bare")]
    pub(crate) services: bool,

    /// How often the operator reconciles every function although nothing changed, instead of the
    /// chart's time
    #[arg(long, value_name = "TIME", conflicts_with = "bare")]
    pub(crate) resync: Option<String>,

    /// With metrics-server, for `kubectl top` and autoscaling
    #[arg(long)]
    pub(crate) metrics_server: bool,

    /// Build nothing: everything was built, on a machine that shares its folders with this one
    #[arg(long)]
    pub(crate) built: bool,

    /// The driver of the pods' control groups; a running cluster keeps its own
    #[arg(long, value_enum, value_name = "DRIVER")]
    pub(crate) cgroup_driver: Option<CgroupDriver>,

    /// The version of Kubernetes; a running cluster keeps its own
    #[arg(long, value_enum, value_name = "VERSION")]
    pub(crate) kubernetes: Option<KubernetesVersion>,
}

/// A minor version of Kubernetes that a cluster can have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum KubernetesVersion {
    /// The version of all tests
    #[default]
    #[value(name = "1.37")]
    #[serde(rename = "1.37")]
    V1_37,
    /// The version before
    #[value(name = "1.36")]
    #[serde(rename = "1.36")]
    V1_36,
}

impl KubernetesVersion {
    /// Its folder of `dev/cluster/tools`.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            KubernetesVersion::V1_37 => "kubernetes",
            KubernetesVersion::V1_36 => "kubernetes-1.36",
        }
    }
}

/// What creates the control groups of pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CgroupDriver {
    /// The kubelet itself, in a group of the cluster
    #[default]
    Cgroupfs,
    /// systemd, in its slice for pods: one node only
    Systemd,
}

impl Up {
    /// The options of the benchmarks' cluster: only what the benchmarks start runs on it.
    pub(crate) fn for_bench() -> Up {
        Up {
            nodes: None,
            bare: false,
            no_functions: true,
            services: true,
            resync: None,
            metrics_server: false,
            built: false,
            cgroup_driver: None,
            kubernetes: None,
        }
    }

    /// Whether to deploy the nine functions.
    pub(crate) fn functions(&self) -> bool {
        !self.bare && !self.no_functions
    }
}
