//! A control group that is being made while the container is prepared.

use tokio::sync::oneshot;

use super::entry::prime_cgroup_lock;
use super::error::GroupError;
use super::group::Cgroup;
use super::holder::Holder;
use super::make::{Limits, Plan};
use super::path::{GroupPath, Scope};
use super::resources::Resources;

/// A group that was made.
pub(crate) struct Made {
    pub(crate) cgroup: Cgroup,
    /// The limits that hold.
    pub(crate) resources: Resources,
    /// Limits that are to hold before the container's first process starts, and would not let it be made.
    pub(crate) update: Option<Resources>,
    /// What keeps a scope until the first process is in it.
    pub(crate) holder: Option<Holder>,
}

/// The making of a group.
pub(crate) struct Making(oneshot::Receiver<Result<Made, GroupError>>);

impl Making {
    /// Begins: with the folders of the group or with a scope of systemd's, and with the wait for the kernel's lock.
    pub(crate) fn begin(plan: Plan) -> Self {
        let (sender, receiver) = oneshot::channel();
        let Plan { path, limits } = plan;
        match path {
            GroupPath::Folder(folder) => {
                tokio::task::spawn_blocking(move || {
                    let cgroup = limits.make_folder(&folder);
                    send(sender, cgroup.map(|cgroup| made(&limits, cgroup, None)));
                    prime_lock();
                });
            }
            GroupPath::Scope(scope) => {
                tokio::task::spawn_blocking(prime_lock);
                tokio::spawn(async move { send(sender, make_scope(&limits, &scope).await) });
            }
        }
        Self(receiver)
    }

    /// The group, with all its limits in force.
    ///
    /// # Errors
    ///
    /// [`GroupError`] when it cannot be made.
    pub(crate) async fn finish(self) -> Result<Made, GroupError> {
        self.0.await.unwrap_or(Err(GroupError::Panicked))
    }

    /// Removes what was made, when no container comes of it.
    pub(crate) async fn abandon(self) {
        if let Ok(made) = self.finish().await
            && let Err(error) = made.cgroup.remove().await
        {
            tracing::warn!(%error, "a control group is left");
        }
    }
}

fn made(limits: &Limits, cgroup: Cgroup, holder: Option<Holder>) -> Made {
    let (resources, update) = limits.resources();
    Made {
        cgroup,
        resources,
        update,
        holder,
    }
}

async fn make_scope(limits: &Limits, scope: &Scope) -> Result<Made, GroupError> {
    let holder = Holder::start().map_err(GroupError::Holder)?;
    let cgroup = limits.make_scope(scope, holder.pid).await?;
    Ok(made(limits, cgroup, Some(holder)))
}

fn send(sender: oneshot::Sender<Result<Made, GroupError>>, made: Result<Made, GroupError>) {
    if let Err(Ok(unwanted)) = sender.send(made) {
        // The call was broken off; the bundle's `delete` finds the group by its path.
        tracing::warn!(cgroup = ?unwanted.cgroup, "a control group is left");
    }
}

fn prime_lock() {
    if let Err(error) = prime_cgroup_lock() {
        tracing::debug!(%error, "the first process will wait at its control group");
    }
}
