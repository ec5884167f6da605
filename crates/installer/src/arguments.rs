//! Command line of `sampan-node-installer`. Every option can also be set in the environment.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Installs Sampan's containerd shim on this node, or removes it.
///
/// It runs as a pod of the chart's DaemonSet, or by hand as root on a node. It is safe to repeat,
/// and a configuration that containerd rejects is reverted.
#[derive(Debug, Parser)]
#[command(name = "sampan-node-installer", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Installs the shim, adds the runtime to containerd's configuration, restarts containerd and checks it
    Install(Install),
    /// Reverts an installation
    Uninstall(Uninstall),
    /// Makes every installer of a DaemonSet uninstall, and waits for them (used when the chart is
    /// removed)
    RemoveEverywhere(RemoveEverywhere),
    /// Exits with 0 if the file exists (the readiness probe: the image has no shell)
    #[command(hide = true)]
    IsDone {
        /// The file
        file: PathBuf,
    },
    /// Runs a program in the namespaces of another process (used by install and uninstall)
    #[command(hide = true, name = "__enter")]
    Enter(Enter),
}

/// Paths and settings of the node.
#[derive(Clone, Debug, Args)]
pub(crate) struct Node {
    /// The node's root folder as this process sees it: `/` by hand, a mount in a pod
    #[arg(long, env = "SAMPAN_HOST_ROOT", default_value = "/")]
    pub(crate) root: PathBuf,
    /// containerd's main configuration
    #[arg(
        long,
        env = "SAMPAN_CONTAINERD_CONFIG",
        default_value = "/etc/containerd/config.toml"
    )]
    pub(crate) config: PathBuf,
    /// The drop-in file for the runtime, where containerd's version can merge files without losing
    /// settings
    #[arg(
        long,
        env = "SAMPAN_CONTAINERD_DROP_IN",
        default_value = "/etc/containerd/conf.d/50-sampan.toml"
    )]
    pub(crate) drop_in: PathBuf,
    /// containerd's socket
    #[arg(
        long,
        env = "SAMPAN_CONTAINERD_SOCKET",
        default_value = "/run/containerd/containerd.sock"
    )]
    pub(crate) socket: PathBuf,
    /// The containerd program of the node, which checks the configuration
    #[arg(long, env = "SAMPAN_CONTAINERD_PROGRAM", default_value = "containerd")]
    pub(crate) containerd: String,
    /// The configuration is a template of k3s or RKE2, to which only a block at the end is added
    #[arg(long, env = "SAMPAN_CONTAINERD_TEMPLATE")]
    pub(crate) template: bool,
    /// The version of the configuration that a template produces
    #[arg(long, env = "SAMPAN_CONTAINERD_TEMPLATE_VERSION", default_value_t = 3)]
    pub(crate) template_version: i64,
    /// The folder on the node for the shim
    #[arg(long, env = "SAMPAN_SHIM_FOLDER", default_value = "/opt/sampan/bin")]
    pub(crate) shim_folder: PathBuf,
    /// The shell command that restarts containerd on the node
    #[arg(
        long,
        env = "SAMPAN_RESTART_COMMAND",
        default_value = "systemctl restart containerd"
    )]
    pub(crate) restart: String,
    /// Run the commands above in the namespaces of this process of the node; required in a pod
    #[arg(long, env = "SAMPAN_ENTER")]
    pub(crate) enter: Option<EnterProcess>,
    /// How long to wait for containerd and the kubelet after a restart
    #[arg(long = "patience", env = "SAMPAN_PATIENCE", default_value = "120", value_parser = seconds, value_name = "SECONDS")]
    pub(crate) timeout: Duration,
    /// The node's name in Kubernetes; without it, no request is sent to Kubernetes
    #[arg(long = "node", id = "node", env = "NODE_NAME")]
    pub(crate) name: Option<String>,
    /// The label of nodes that have the runtime; its value is `true`
    #[arg(long, env = "SAMPAN_NODE_LABEL", default_value = "sampan.dev/runtime")]
    pub(crate) label: String,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Install {
    #[command(flatten)]
    pub(crate) node: Node,
    /// The shim to install
    #[arg(
        long,
        env = "SAMPAN_SHIM",
        default_value = "/usr/local/bin/containerd-shim-sampan-v1"
    )]
    pub(crate) shim: PathBuf,
    /// A folder of libraries that the shim loads and the node may lack; a missing folder counts as
    /// empty
    #[arg(
        long,
        env = "SAMPAN_SHIM_LIBRARIES",
        default_value = "/usr/local/lib/sampan"
    )]
    pub(crate) libraries: PathBuf,
    /// Keep running when done; required in a DaemonSet's pod
    #[arg(long, env = "SAMPAN_STAY")]
    pub(crate) stay: bool,
    /// A file to write when done, for a readiness probe
    #[arg(long, env = "SAMPAN_READY_FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Uninstall {
    #[command(flatten)]
    pub(crate) node: Node,
    /// Keep running when done, until stopped
    #[arg(long, env = "SAMPAN_STAY")]
    pub(crate) stay: bool,
    /// A file to write when done, for a readiness probe
    #[arg(long, env = "SAMPAN_READY_FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RemoveEverywhere {
    /// The namespace of the DaemonSet
    #[arg(long)]
    pub(crate) namespace: String,
    /// Its name
    #[arg(long)]
    pub(crate) daemon_set: String,
    /// How long to wait for all nodes together
    #[arg(long = "patience", default_value = "600", value_parser = seconds, value_name = "SECONDS")]
    pub(crate) timeout: Duration,
}

/// The process with the node's namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EnterProcess {
    /// The node's first process
    Init,
    /// containerd, where the first process is inaccessible
    Containerd,
}

#[derive(Debug, Args)]
pub(crate) struct Enter {
    /// The namespaces to enter, in this order
    #[arg(long = "namespace", required = true)]
    pub(crate) namespaces: Vec<PathBuf>,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<String>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Duration::from_secs)
        .map_err(|_| "expected a number of seconds".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Arguments;

    #[test]
    fn the_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }
}
