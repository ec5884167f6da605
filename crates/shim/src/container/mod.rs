//! A container as the supervisor makes it: its control group, and the child that makes the rest.
//!
//! [`prepared`] has the steps in which a child makes a container, [`children`] starts children, and [`reaper`] notices
//! the end of each process.

pub(crate) mod children;
pub(crate) mod prepared;
pub(crate) mod reaper;

use std::sync::atomic::AtomicBool;

use crate::bundle::config::GroupConfig;
use crate::cgroup::{Cgroup, Plan, Resources, Version};
use crate::control::messages::Workload;
use crate::error::{Result, ShimError};
use crate::pod::oom::GroupAbove;

/// What a task has that is no sandbox.
pub(crate) struct Container {
    pub(crate) workload: Workload,
    pub(crate) cgroup: Cgroup,
    /// The limits that hold.
    pub(crate) resources: tokio::sync::Mutex<Resources>,
    pub(crate) group_above: GroupAbove,
    /// Whether the shim was asked to send SIGKILL to a process of it.
    pub(crate) killed: AtomicBool,
}

/// Plans the control group that a bundle asks for.
///
/// # Errors
///
/// [`ShimError::Invalid`] when it makes no sense on this node.
pub(crate) fn plan(group: GroupConfig, id: &str) -> Result<Plan> {
    let version = Version::of_node().map_err(ShimError::system("looking at control groups"))?;
    let GroupConfig { path, resources } = group;
    Ok(Plan::new(path.as_deref(), id, resources, version)?)
}
