//! The version of the node's control groups, decided as runc decides it: by the file system at [`ROOT`].
//!
//! Hierarchies that are mounted elsewhere, or below [`ROOT`], do not matter: a node with version 2 at [`ROOT`] and a
//! stray mount of version 1 is a node of version 2, and a hybrid node is one of version 1.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Where control groups are mounted: the one hierarchy of version 2, or the folder of all hierarchies of version 1.
pub(crate) const ROOT: &str = "/sys/fs/cgroup";

/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const CGROUP2: rustix::fs::FsWord = 0x6367_7270;

/// A version of the kernel's control groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Version {
    /// A hierarchy for each controller.
    #[default]
    V1,
    /// One hierarchy for all controllers.
    V2,
}

impl Version {
    /// The version that this node uses for containers.
    ///
    /// # Errors
    ///
    /// When no file system is mounted at [`ROOT`].
    pub(crate) fn of_node() -> io::Result<Self> {
        Self::at(Path::new(ROOT))
    }

    fn at(root: &Path) -> io::Result<Self> {
        let found = rustix::fs::statfs(root)?;
        Ok(if found.f_type == CGROUP2 {
            Self::V2
        } else {
            Self::V1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_at_the_root_decides() {
        // A mount of version 2 below the root, as hybrid nodes have it, does not make a node one of version 2.
        assert_eq!(Version::at(Path::new("/proc")).ok(), Some(Version::V1));
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let version2 = mounts
            .lines()
            .filter(|line| line.contains(" - cgroup2 "))
            .filter_map(|line| line.split(' ').nth(4));
        for mount in version2 {
            assert_eq!(Version::at(Path::new(mount)).ok(), Some(Version::V2));
        }
        assert!(Version::at(Path::new("/nonexistent")).is_err());
    }
}
