//! The process namespace that the containers of a pod share: what it is made from, and its first process.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bundle::config::GroupConfig;
use crate::bundle::leftovers::remove_group;
use crate::bundle::rootfs::RootMount;
use crate::cgroup::Cgroup;
use crate::error::Result;
use crate::this_program::own_pid;

/// A sandbox's part of the namespace.
#[derive(Default)]
pub(crate) struct SharedProcesses {
    /// The mounts of the sandbox's root.
    pub(crate) rootfs: Vec<RootMount>,
    /// The sandbox's control group.
    pub(crate) group: GroupConfig,
    /// Held while the first process is made, so that there is one.
    pub(crate) making: tokio::sync::Mutex<()>,
    first: Mutex<Option<First>>,
}

/// The first process of the namespace.
struct First {
    cgroup: Cgroup,
    /// The namespace itself: a process number could be another process's by now.
    namespace: File,
}

impl First {
    fn path(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/fd/{}",
            own_pid(),
            self.namespace.as_raw_fd()
        ))
    }
}

impl SharedProcesses {
    /// Those of a sandbox with these mounts of its root, and this control group.
    pub(crate) fn new(rootfs: Vec<RootMount>, group: GroupConfig) -> Self {
        Self {
            rootfs,
            group,
            ..Self::default()
        }
    }

    /// Notes the first process, by its control group and its namespace. Returns the namespace's path.
    pub(crate) fn set_first(&self, cgroup: Cgroup, namespace: File) -> PathBuf {
        let first = First { cgroup, namespace };
        let path = first.path();
        *self.first() = Some(first);
        path
    }

    /// The path of the namespace, once it is made.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.first().as_ref().map(First::path)
    }

    /// Ends the first process, and with it all in the namespace.
    pub(crate) fn kill(&self) {
        if let Some(first) = &*self.first() {
            first.cgroup.kill();
        }
    }

    /// Ends the first process and removes its control group.
    ///
    /// # Errors
    ///
    /// When the group is still in use after a while.
    pub(crate) async fn remove(&self) -> Result<()> {
        let first = self.first().take();
        let Some(first) = first else {
            return Ok(());
        };
        first.cgroup.kill();
        remove_group(&first.cgroup).await
    }

    fn first(&self) -> MutexGuard<'_, Option<First>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
