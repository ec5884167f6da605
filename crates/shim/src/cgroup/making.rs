//! A control group that is being made while the container is prepared.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::entry::foresee_entry;
use super::make::{GroupError, Plan};
use super::{Cgroup, Resources};

/// A group that was made.
pub(crate) struct Made {
    pub(crate) cgroup: Cgroup,
    /// The limits that hold.
    pub(crate) resources: Resources,
    /// Limits that are to hold before the container's first process starts, and would not let it be made.
    pub(crate) update: Option<Resources>,
}

/// The making of a group.
pub(crate) struct Making {
    plan: Arc<Plan>,
    /// The group, where the shim makes it itself.
    folder: Option<oneshot::Receiver<Result<Cgroup, GroupError>>>,
}

impl Making {
    /// Begins with what needs no process: the folders, and the wait for the kernel's lock.
    pub(crate) fn begin(plan: Plan) -> Self {
        let plan = Arc::new(plan);
        let (sender, receiver) = oneshot::channel();
        let worker = Arc::clone(&plan);
        tokio::task::spawn_blocking(move || {
            if worker.is_folder()
                && let Err(Ok(unwanted)) = sender.send(worker.make_folder())
            {
                tracing::warn!(?unwanted, "a control group is left");
            }
            if let Err(error) = foresee_entry() {
                tracing::debug!(%error, "the first process will wait at its control group");
            }
        });
        Self {
            folder: plan.is_folder().then_some(receiver),
            plan,
        }
    }

    /// The group, with all its limits in force. A scope of systemd's is made now, with process `pid` in it.
    ///
    /// # Errors
    ///
    /// [`GroupError`] when it cannot be made.
    pub(crate) async fn finish(self, pid: u32) -> Result<Made, GroupError> {
        let cgroup = match self.folder {
            None => self.plan.make_scope(pid).await?,
            Some(folder) => match folder.await {
                Ok(made) => made?,
                // The worker has panicked, which the log has.
                Err(_) => self.plan.make_folder()?,
            },
        };
        let (resources, update) = self.plan.resources();
        Ok(Made {
            cgroup,
            resources,
            update,
        })
    }

    /// Removes what was made, when no container comes of it.
    pub(crate) async fn abandon(self) {
        if let Some(folder) = self.folder
            && let Ok(Ok(cgroup)) = folder.await
            && let Err(error) = cgroup.remove().await
        {
            tracing::warn!(%error, "a control group is left");
        }
    }
}
