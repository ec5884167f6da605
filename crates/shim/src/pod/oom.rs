//! How many processes of a container the kernel has killed for want of memory.
//!
//! systemd removes the group of a scope as soon as the last process has ended, often before it can be read. The kernel
//! counts the kills of a group in the groups above it too, so the group above has those that were missed.

use std::sync::{Arc, Mutex, PoisonError};

use crate::cgroup::Cgroup;

/// The kills of a pod's containers that have been counted. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct OomKills(Arc<Mutex<u64>>);

/// What is in the group above a container's.
pub(crate) enum GroupAbove {
    /// Nothing but the pod's containers.
    Pod,
    /// Other containers and services of the node as well. The group had counted this many kills when the container was
    /// made; `None` when it counts none.
    Shared(Option<u64>),
}

impl GroupAbove {
    /// Looks at the group above the one of a new container.
    pub(crate) fn of(cgroup: &Cgroup, in_pod: bool) -> Self {
        if in_pod {
            Self::Pod
        } else {
            Self::Shared(cgroup.oom_kills_above())
        }
    }
}

impl OomKills {
    /// Counts the kills of a container after its first process has ended. `was_killed` says that SIGKILL ended it, which
    /// is what the kernel sends, and that the shim had not sent it. To be called once for each container.
    pub(crate) fn of(&self, cgroup: &Cgroup, above: &GroupAbove, was_killed: bool) -> u64 {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missed = || {
            let total = cgroup.oom_kills_above().unwrap_or(0);
            match above {
                GroupAbove::Pod => total.saturating_sub(*counted),
                // The kills may be those of others. Together with an end that nothing else explains, they are taken for
                // the container's.
                GroupAbove::Shared(Some(before)) if was_killed => {
                    total.saturating_sub(*before).min(1)
                }
                GroupAbove::Shared(_) => 0,
            }
        };
        let kills = cgroup.oom_kills().unwrap_or_else(missed);
        *counted += kills;
        kills
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn kills_of_a_group_that_is_gone_are_found_in_the_group_above() {
        /// `own` and `above` are the kills that the files say; `None` is a group that is gone.
        fn check(own: Option<u64>, group: &GroupAbove, above: u64, killed: bool, expected: u64) {
            let folder = tempfile::tempdir().expect("a folder");
            let write = |path: &std::path::Path, kills: u64| {
                let text = format!("low 0\nmax 3\noom 1\noom_kill {kills}\noom_group_kill 0\n");
                fs::write(path.join("memory.events"), text).expect("a file");
            };
            write(folder.path(), above);
            let child = folder.path().join("child");
            if let Some(own) = own {
                fs::create_dir(&child).expect("a folder");
                write(&child, own);
            }
            let cgroup = Cgroup::of_folder(child);
            let kills = OomKills::default();
            let case = (own, above, killed);
            assert_eq!(kills.of(&cgroup, group, killed), expected, "{case:?}");
            if matches!(group, GroupAbove::Pod) {
                assert_eq!(
                    kills.of(&cgroup, group, killed),
                    own.unwrap_or(0),
                    "{case:?}"
                );
            }
        }
        check(Some(2), &GroupAbove::Pod, 5, true, 2);
        check(None, &GroupAbove::Pod, 2, false, 2);
        check(Some(1), &GroupAbove::Shared(Some(4)), 5, true, 1);
        check(Some(0), &GroupAbove::Shared(Some(4)), 9, true, 0);
        check(None, &GroupAbove::Shared(Some(4)), 5, true, 1);
        check(None, &GroupAbove::Shared(Some(4)), 7, true, 1);
        check(None, &GroupAbove::Shared(Some(4)), 4, true, 0);
        check(None, &GroupAbove::Shared(Some(4)), 5, false, 0);
        check(None, &GroupAbove::Shared(None), 5, true, 0);
    }
}
