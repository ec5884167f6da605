//! The root file system of a container, as containerd asks for it.

use containerd_shim::api::CreateTaskRequest;
use serde::{Deserialize, Serialize};

/// A mount of the root file system.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RootMount {
    pub(crate) kind: String,
    pub(crate) source: String,
    pub(crate) options: Vec<String>,
}

impl RootMount {
    /// Those that containerd asks for.
    pub(crate) fn all_of(request: &CreateTaskRequest) -> Vec<Self> {
        let mounts = request.rootfs.iter();
        let mounts = mounts.map(|mount| Self {
            kind: mount.type_.clone(),
            source: mount.source.clone(),
            options: mount.options.clone(),
        });
        mounts.collect()
    }
}
