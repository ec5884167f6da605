//! What can go wrong on a node, and what to do about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::ConfigError;
use crate::dump::DumpError;

/// Why the shim was not installed, or not removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No runtime for what waits.
    #[error("no timers and connections can be made")]
    Runtime {
        /// Why.
        source: io::Error,
    },
    /// A file of the node.
    #[error("{} cannot be {what}", path.display())]
    File {
        /// Read, written, removed.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// containerd's configuration.
    #[error("{}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ConfigError,
    },
    /// containerd would not take the configuration in any way that was tried.
    #[error("the configuration is left as it was: {tried}")]
    NotTaken {
        /// Each way, with what was wrong.
        tried: String,
    },
    /// What containerd says is not understood.
    #[error("`{command}`")]
    Dump {
        /// What was run.
        command: String,
        /// Why it is not understood.
        source: DumpError,
    },
    /// A program cannot be started.
    #[error("`{command}` cannot be run on the node")]
    Start {
        /// What was run.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// A program failed.
    #[error("`{command}` failed on the node ({status}): {said}")]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The end of what it said.
        said: String,
    },
    /// The namespaces of the node cannot be entered.
    #[error("the node's namespaces cannot be entered")]
    Enter {
        /// Why.
        source: io::Error,
    },
    /// containerd did not come back as it should.
    #[error("after its restart, containerd {what}; waited {waited:?}")]
    NotBack {
        /// What is wrong.
        what: String,
        /// How long.
        waited: Duration,
    },
    /// What went wrong has been taken back.
    #[error("{cause}; everything has been taken back")]
    RolledBack {
        /// What went wrong.
        cause: Box<Error>,
    },
    /// What went wrong could not be taken back.
    #[error("{cause}; and taking it back failed: {then}")]
    Stuck {
        /// What went wrong.
        cause: Box<Error>,
        /// And then.
        then: Box<Error>,
    },
    /// Kubernetes does not do what it is asked.
    #[error("Kubernetes does not {what} the node {node}")]
    Kubernetes {
        /// Show, label.
        what: &'static str,
        /// The node.
        node: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// The DaemonSet cannot be turned around.
    #[error("the DaemonSet {name} cannot be {what}")]
    DaemonSet {
        /// Read, changed.
        what: &'static str,
        /// Its name.
        name: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// Some nodes still have the runtime.
    #[error("{done} of {of} nodes are as they were, and no more became so in time")]
    Nodes {
        /// How many are.
        done: i32,
        /// How many there are.
        of: i32,
    },
    /// No way to Kubernetes.
    #[error("no way to Kubernetes is known")]
    NoKubernetes(#[source] Box<kube::Error>),
}

impl Error {
    /// What to do.
    pub(crate) fn help(&self) -> &'static str {
        match self {
            Self::Runtime { .. } => "check the limits of processes and open files",
            Self::File { .. } => "run as root, with the node's root folder mounted at --root",
            Self::Config {
                source: ConfigError::Version(_),
                ..
            } => "bring it up to date with `containerd config migrate`, then try again",
            Self::Config {
                source: ConfigError::Taken,
                ..
            } => "remove that runtime first: Sampan does not replace what it did not write",
            Self::Config { .. } => "correct the file; containerd could not read it either",
            Self::NotTaken { .. } => "add the runtime by hand as docs/install.md says",
            Self::Dump { .. } => "check --containerd: it must be the containerd that runs here",
            Self::Start { .. } | Self::Failed { .. } => {
                "check the command (--restart, --containerd), and that --enter is given in a pod"
            }
            Self::Enter { .. } => {
                "the pod needs hostPID and privileged; --enter containerd does without the node's first process"
            }
            Self::NotBack { .. } => "look at containerd's own log on the node",
            Self::RolledBack { cause } => cause.help(),
            Self::Stuck { .. } => {
                "look at the node: the file with .sampan-backup beside containerd's configuration is its former content"
            }
            Self::Kubernetes { .. } => "check the ClusterRole: it needs get and patch on nodes",
            Self::DaemonSet { .. } => {
                "check the Role of the removal: it needs get and patch on the DaemonSet"
            }
            Self::Nodes { .. } => {
                "see the logs of the installer's pods on those nodes; `helm uninstall` may be repeated"
            }
            Self::NoKubernetes(_) => "leave --node (NODE_NAME) away where there is none",
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
