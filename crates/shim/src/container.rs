//! The steps in which a child of the supervisor makes a container, as the supervisor sees them.

use crate::cgroup::{Cgroup, Making, Resources};
use crate::children::{Child, hear, unexpected};
use crate::error::Result;
use crate::link::{GroupAnswer, Link, Message, Workload};

/// What a task has that is no sandbox.
pub(crate) struct Container {
    pub(crate) workload: Workload,
    pub(crate) cgroup: Cgroup,
    /// The limits that hold.
    pub(crate) resources: tokio::sync::Mutex<Resources>,
    /// The group above the container's has nothing in it but the pod's containers.
    pub(crate) in_pod: bool,
}

/// Has the control group made before the child starts the container's first process.
pub(crate) async fn place(
    link: &mut Link,
    child: &mut Child,
    making: Making,
) -> Result<(Cgroup, Resources)> {
    let asked = match hear(link, child).await {
        Ok(Message::NeedsGroup) => Ok(()),
        Ok(other) => Err(unexpected(&other)),
        Err(error) => Err(error),
    };
    if let Err(error) = asked {
        making.abandon().await;
        return Err(error);
    }
    let made = making.finish(child.pid.unsigned_abs()).await;
    let answer = match &made {
        Ok(_) => GroupAnswer::Ready,
        Err(_) => GroupAnswer::Failed,
    };
    // A child that has ended just now is noticed when nothing more comes from it.
    if let Err(error) = link.ask(&answer).await {
        tracing::debug!(%error, "the child is gone");
    }
    if made.is_err() {
        child.ended().await;
    }
    Ok(made?)
}

/// The first process that the child has started, and what it is.
pub(crate) async fn build(link: &mut Link, child: &mut Child) -> Result<(i32, Workload)> {
    match hear(link, child).await? {
        Message::Created { pid, workload } => Ok((pid, workload)),
        other => Err(unexpected(&other)),
    }
}
