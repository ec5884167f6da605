//! Messages between the supervisor and a child.
//!
//! The supervisor sends a request, and answers [`Message::NeedsGroup`]. The child reports whether the container was made;
//! later the container's first process reports whether it could start.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::bundle::rootfs::RootMount;
use crate::bundle::stdio::Stdio;
use crate::pod::namespaces::Pod;

/// What the supervisor asks a child for, written once.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CreateRequest {
    pub(crate) id: String,
    pub(crate) bundle: PathBuf,
    pub(crate) rootfs: Vec<RootMount>,
    pub(crate) stdio: Stdio,
    /// The pod that it belongs to, unless it stands alone.
    pub(crate) pod: Option<Pod>,
    /// It is the pod's sandbox. Its program is the first process of the namespace that containers share.
    pub(crate) is_sandbox: bool,
    /// containerd's namespace and socket, for a module that is read from its content store.
    pub(crate) namespace: String,
    pub(crate) address: String,
    /// The container's control group, from the root of the hierarchies.
    pub(crate) group: PathBuf,
}

/// What the supervisor asks a child for that runs a program in a container that runs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExecRequest {
    pub(crate) id: String,
    pub(crate) bundle: PathBuf,
    pub(crate) stdio: Stdio,
    /// The process, as the OCI specification describes it.
    pub(crate) process: serde_json::Value,
    /// The group below the container's own that the program goes to.
    pub(crate) sub_group: Option<String>,
}

/// The answer to [`Message::NeedsGroup`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum GroupAnswer {
    /// The group is there, with its limits in force.
    Ready,
    /// It could not be made. The supervisor reports why; the child clears away what it has made, and ends.
    Failed,
}

/// What a container runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Workload {
    /// A WebAssembly function, in the container's first process itself.
    Wasm,
    /// A program of the container's own.
    Native,
}

/// What a child says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// The child is about to start the container's first process, and waits for a [`GroupAnswer`].
    NeedsGroup,
    /// The container is there and waits for its start.
    Created { pid: i32, workload: Workload },
    /// A program in a container runs.
    Executed { pid: i32 },
    /// The function can answer, or the command runs.
    Ready,
    /// Nothing comes of it, for this reason.
    Failed { cause: String },
}
