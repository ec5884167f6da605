//! Statistics, freezing and limits of a container, by way of its control group.

use containerd_shim::cgroup::{collect_metrics, get_cgroup};
use containerd_shim::protos::cgroups::metrics::Metrics;
use containerd_shim::protos::cgroups_v2::metrics::Metrics as Metrics2;
use containerd_shim::protos::protobuf::well_known_types::any::Any;

use super::Task;
use super::state::Event;
use super::type_url::{CGROUPS_1, CGROUPS_2, pack};
use crate::cgroup::{self, Resources, Version};
use crate::error::{Result, ShimError};

impl Task {
    /// What the container uses, in the message of its version of control groups. A sandbox uses nothing.
    ///
    /// # Errors
    ///
    /// When the group is gone, or the message cannot be packed.
    pub(crate) fn measure(&self) -> Result<Any> {
        let Some(own) = self.cgroup() else {
            let version =
                Version::of_node().map_err(ShimError::system("looking at control groups"))?;
            return match version {
                Version::V1 => pack(CGROUPS_1, &Metrics::new()),
                Version::V2 => pack(CGROUPS_2, &Metrics2::new()),
            }
            .map_err(failed);
        };
        if own.is_unified() {
            let metrics = own.metrics();
            let metrics = metrics.map_err(ShimError::system("reading what the container uses"))?;
            return pack(CGROUPS_2, &metrics).map_err(failed);
        }
        let cgroup = get_cgroup(self.init.pid().unsigned_abs()).map_err(failed)?;
        let mut metrics = collect_metrics(&cgroup).map_err(failed)?;
        // The library reads these from version 2 only. Without a limit the kernel has one that no memory reaches, which
        // containerd takes for none; it takes 0 for a limit.
        let usage = metrics.mut_cpu().mut_usage();
        usage.set_total(own.processor_nanoseconds());
        let memory = metrics.mut_memory();
        let (limit, swap) = own.memory_limits();
        memory.mut_usage().set_limit(limit);
        memory.mut_swap().set_limit(swap);
        pack(CGROUPS_1, &metrics).map_err(failed)
    }

    /// Stops the container's processes, or lets them go on.
    ///
    /// # Errors
    ///
    /// [`ShimError::Precondition`] when the task is not running, or not paused.
    pub(crate) async fn freeze(&self, freeze: bool) -> Result<()> {
        let event = if freeze { Event::Pause } else { Event::Resume };
        self.init.state().after(event)?;
        let cgroup = self.cgroup().ok_or_else(|| {
            ShimError::Unsupported("a sandbox of this runtime has no process to pause".to_owned())
        })?;
        let frozen = cgroup.freeze(freeze).await;
        frozen.map_err(ShimError::system("using the freezer"))?;
        // It may have ended meanwhile: that stays its state.
        let _ = self.init.apply(event);
        Ok(())
    }

    /// Changes its limits.
    ///
    /// # Errors
    ///
    /// When a limit makes no sense or the kernel refuses it; those before it may hold then.
    pub(crate) async fn update(&self, update: Resources) -> Result<()> {
        let Some(container) = self.container() else {
            // A sandbox has the pod's group, which the kubelet sets limits of.
            return Ok(());
        };
        let mut resources = container.resources.lock().await;
        let mut updated = resources.updated(update);
        cgroup::update(&container.cgroup, &mut updated).await?;
        *resources = updated;
        Ok(())
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
fn failed(error: containerd_shim::Error) -> ShimError {
    ShimError::Container(error.to_string())
}
