//! How many processes of a container the kernel has killed for want of memory.
//!
//! systemd removes the group of a scope as soon as the last process has ended, often before it can be read. The kernel
//! counts the kills of a group in the groups above it too, so the pod's group has those that were missed.

use std::sync::{Arc, Mutex, PoisonError};

use crate::cgroup::Cgroup;

/// The kills of a pod's containers that have been counted. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct OomKills(Arc<Mutex<u64>>);

impl OomKills {
    /// Counts the kills of a container after its first process has ended. To be called once for each container. `in_pod`
    /// says that the group above has nothing but the pod's containers.
    pub(crate) fn of(&self, cgroup: &Cgroup, in_pod: bool) -> u64 {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let above = || cgroup.oom_kills_above().filter(|_| in_pod);
        let missed = || above().map_or(0, |total| total.saturating_sub(*counted));
        let kills = cgroup.oom_kills().unwrap_or_else(missed);
        *counted += kills;
        kills
    }
}
