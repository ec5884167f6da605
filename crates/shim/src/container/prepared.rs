//! The steps in which a child of the supervisor makes a container, as the supervisor sees them.

use super::children::{Child, StandbyChild, ask_for_container, receive_from, unexpected};
use super::reaper::Reaper;
use crate::cgroup::{self, Made, Making};
use crate::control::messages::{CreateRequest, GroupAnswer, Message, Workload};
use crate::control::socket::ControlSocket;
use crate::error::Result;

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
    /// `ShimError::Container` with the cause; then no group is left.
    pub(crate) async fn new(
        request: &CreateRequest,
        making: Making,
        reaper: &Reaper,
        standby: &StandbyChild,
    ) -> Result<Self> {
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
    /// `ShimError::Container` with the cause; the group is still there.
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
