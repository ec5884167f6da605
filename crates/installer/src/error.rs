//! Errors on a node, with help texts.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::ConfigError;
use crate::dump::DumpError;

/// Reasons why the shim was not installed, or not removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The asynchronous runtime cannot be started.
    #[error("the asynchronous runtime cannot be started")]
    Runtime {
        /// The cause.
        source: io::Error,
    },
    /// A file of the node cannot be accessed.
    #[error("{} cannot be {what}", path.display())]
    File {
        /// The failed action: read, written, removed.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// containerd's configuration cannot be changed.
    #[error("{} cannot be changed", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: ConfigError,
    },
    /// containerd rejects every tried form of the configuration.
    #[error("the configuration is left as it was: {tried}")]
    ConfigRejected {
        /// Each form with its error.
        tried: String,
    },
    /// The output of `containerd config dump` cannot be parsed.
    #[error("`{command}` has unexpected output")]
    Dump {
        /// The command.
        command: String,
        /// The cause.
        source: DumpError,
    },
    /// A program cannot be started.
    #[error("`{command}` cannot be run on the node")]
    Start {
        /// The command.
        command: String,
        /// The cause.
        source: io::Error,
    },
    /// A program failed.
    #[error("`{command}` failed on the node ({status}): {stderr}")]
    Failed {
        /// The command.
        command: String,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// The end of its standard error.
        stderr: String,
    },
    /// The namespaces of the node cannot be entered.
    #[error("the node's namespaces cannot be entered")]
    Enter {
        /// The cause.
        source: io::Error,
    },
    /// containerd does not work after its restart.
    #[error("after its restart, containerd {what}; waited {waited:?}")]
    Unhealthy {
        /// The failure.
        what: String,
        /// The time waited.
        waited: Duration,
    },
    /// The change failed and was reverted.
    #[error("{cause}; everything has been taken back")]
    RolledBack {
        /// The failure of the change.
        cause: Box<Error>,
    },
    /// The change failed, and so did its reversal.
    #[error("{cause}; reverting the changes failed: {rollback}")]
    RollbackFailed {
        /// The failure of the change.
        cause: Box<Error>,
        /// The failure of the reversal.
        rollback: Box<Error>,
    },
    /// A request to Kubernetes about the node failed.
    #[error("the node {node} cannot be {what} in Kubernetes")]
    Kubernetes {
        /// The failed action: read, labelled.
        what: &'static str,
        /// The node.
        node: String,
        /// The cause.
        source: Box<kube::Error>,
    },
    /// The DaemonSet cannot be switched to uninstalling.
    #[error("the DaemonSet {name} cannot be {what}")]
    DaemonSet {
        /// The failed action: read, changed.
        what: &'static str,
        /// Its name.
        name: String,
        /// The cause.
        source: Box<kube::Error>,
    },
    /// Some nodes still have the runtime.
    #[error("only {done} of {of} nodes were restored in time")]
    NodesRemaining {
        /// Number of nodes without the runtime.
        done: i32,
        /// Number of all nodes.
        of: i32,
    },
    /// No configuration for Kubernetes.
    #[error(
        "no configuration for Kubernetes: neither a kubeconfig nor a pod's service account is usable"
    )]
    NoKubernetes(#[source] Box<kube::Error>),
}

impl Error {
    /// Advice for the user.
    pub(crate) fn help(&self) -> &'static str {
        match self {
            Self::Runtime { .. } => "check the limits of processes and open files",
            Self::File { .. } => "run as root, with the node's root folder mounted at --root",
            Self::Config {
                source: ConfigError::Version(_),
                ..
            } => "migrate it with `containerd config migrate`, then try again",
            Self::Config {
                source: ConfigError::NameTaken,
                ..
            } => "remove that runtime first: Sampan replaces only its own entry",
            Self::Config { .. } => "correct the file; containerd could not read it either",
            Self::ConfigRejected { .. } => "add the runtime by hand: see docs/install.md",
            Self::Dump { .. } => "check --containerd: it must be the containerd that runs here",
            Self::Start { .. } | Self::Failed { .. } => {
                "check the command (--restart, --containerd), and that --enter is given in a pod"
            }
            Self::Enter { .. } => {
                "run the pod with hostPID and privileged; use --enter containerd if the node's first process is inaccessible"
            }
            Self::Unhealthy { .. } => "check containerd's log on the node",
            Self::RolledBack { cause } => cause.help(),
            Self::RollbackFailed { .. } => {
                "check the node: the file with .sampan-backup beside containerd's configuration has the original content"
            }
            Self::Kubernetes { .. } => "check the ClusterRole: it needs get and patch on nodes",
            Self::DaemonSet { .. } => {
                "check the Role of the removal: it needs get and patch on the DaemonSet"
            }
            Self::NodesRemaining { .. } => {
                "check the logs of the installer's pods on those nodes, then repeat `helm uninstall`"
            }
            Self::NoKubernetes(_) => "leave out --node (NODE_NAME) on a node without Kubernetes",
        }
    }
}

/// An error and its causes as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
