//! The steps in which a child of the supervisor makes a container, as the supervisor sees them.

pub(crate) mod children;
pub(crate) mod reaper;

use crate::bundle::config::BundleConfig;
use crate::cgroup::{self, Cgroup, Made, Making, Plan, Resources, Version};
use crate::control::socket::{ControlSocket, CreateRequest, GroupAnswer, Message, Workload};
use crate::error::{Result, ShimError};
use crate::task::TaskContext;
use children::{Child, ask_for_container, receive_from, unexpected};

/// What a task has that is no sandbox.
pub(crate) struct Container {
    pub(crate) workload: Workload,
    pub(crate) cgroup: Cgroup,
    /// The limits that hold.
    pub(crate) resources: tokio::sync::Mutex<Resources>,
    /// The group above the container's has nothing in it but the pod's containers.
    pub(crate) in_pod: bool,
}

/// Plans the control group that a specification asks for.
///
/// # Errors
///
/// [`ShimError::Invalid`] when it makes no sense on this node.
pub(crate) fn plan(head: &BundleConfig, id: &str) -> Result<Plan> {
    let version = Version::of_node().map_err(ShimError::system("looking at control groups"))?;
    Ok(Plan::new(
        head.cgroups_path(),
        id,
        head.resources(),
        version,
    )?)
}

/// Removes the control group of a container that is not there any more, or was never made.
///
/// # Errors
///
/// [`ShimError::System`] when the group is still in use after a while.
pub(crate) async fn remove_group(cgroup: &Cgroup) -> Result<()> {
    let removed = cgroup.remove().await;
    removed.map_err(ShimError::system("removing the control group"))
}

/// A child that has prepared a container, and its control group.
pub(crate) struct PreparedChild {
    pub(crate) link: ControlSocket,
    child: Child,
    pub(crate) made: Made,
}

impl PreparedChild {
    /// Has a child prepare the container, and the control group made before the child starts the first process.
    ///
    /// # Errors
    ///
    /// [`ShimError::Container`] with the cause; then no group is left.
    pub(crate) async fn new(
        request: &CreateRequest,
        making: Making,
        context: &TaskContext,
    ) -> Result<Self> {
        let TaskContext {
            reaper, standby, ..
        } = context;
        let asked = async {
            let (mut link, mut child) = ask_for_container(request, reaper, standby).await?;
            match receive_from(&mut link, &mut child).await? {
                Message::NeedsGroup => Ok((link, child)),
                other => Err(unexpected(&other)),
            }
        };
        let (mut link, mut child) = match asked.await {
            Ok(asked) => asked,
            Err(error) => {
                making.abandon().await;
                return Err(error);
            }
        };
        let made = making.finish().await;
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
        Ok(Self {
            link,
            child,
            made: made?,
        })
    }

    /// The first process that the child starts, and what it is.
    ///
    /// # Errors
    ///
    /// [`ShimError::Container`] with the cause; the group is still there.
    pub(crate) async fn build(&mut self) -> Result<(i32, Workload)> {
        let (pid, workload) = match receive_from(&mut self.link, &mut self.child).await? {
            Message::Created { pid, workload } => (pid, workload),
            other => return Err(unexpected(&other)),
        };
        // The first process waits for its start, and keeps the group itself.
        self.made.holder = None;
        if let Some(update) = self.made.update.take() {
            let mut updated = self.made.resources.updated(update);
            cgroup::update(&self.made.cgroup, &mut updated).await?;
            self.made.resources = updated;
        }
        Ok((pid, workload))
    }
}
