//! Makes a container, as a task.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::context::TaskContext;
use super::process::Process;
use super::{Kind, Task};
use crate::bundle::leftovers;
use crate::bundle::record::Record;
use crate::cgroup::{Made, Making, Plan};
use crate::container::Container;
use crate::container::prepared::PreparedChild;
use crate::control::messages::{CreateRequest, Workload};
use crate::error::Result;
use crate::pod::oom::GroupAbove;

impl Task {
    /// Makes a container, up to the point where it waits for its start.
    ///
    /// # Errors
    ///
    /// `ShimError::Container` with the cause; then nothing is left of it.
    pub(crate) fn create(
        request: CreateRequest,
        plan: Plan,
        context: TaskContext,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<Self>>> + Send>> {
        // Its state is kilobytes. Inside of its callers' state, it would be on the supervisor's stack several times.
        Box::pin(Self::make(request, plan, context))
    }

    async fn make(request: CreateRequest, plan: Plan, context: TaskContext) -> Result<Arc<Self>> {
        request.stdio.check()?;
        let init = Process::new("", request.stdio.clone());
        // A function that answers requests has these even where the pod asks for a terminal.
        init.holds(request.stdio.hold()?);
        let making = Making::begin(plan);
        let mut begun =
            PreparedChild::new(&request, making, &context.reaper, &context.standby).await?;
        let built = begun.build().await;
        let PreparedChild { mut link, made, .. } = begun;
        let Made {
            cgroup, resources, ..
        } = made;
        let attached = built.and_then(|(pid, workload)| {
            init.set_pid(pid)?;
            let exit = context.reaper.exit_of(pid);
            let terminal = link.take_fd();
            if request.stdio.terminal && (terminal.is_some() || workload == Workload::Native) {
                init.attach_terminal(terminal)?;
            }
            Ok((workload, exit))
        });
        let (workload, exit) = match attached {
            Ok(attached) => attached,
            Err(error) => {
                leftovers::remove_group(&cgroup).await?;
                leftovers::clear(&request.bundle)?;
                return Err(error);
            }
        };
        *init.starting.lock().await = Some(link);
        let container = Container {
            workload,
            killed: AtomicBool::new(false),
            group_above: GroupAbove::of(&cgroup, request.pod.is_some()),
            cgroup,
            resources: tokio::sync::Mutex::new(resources),
        };
        let kind = Kind::Container(container);
        let task = Self::new(&request.id, &request.bundle, init, kind, context);
        let task = Arc::new(task);
        task.follow(Arc::clone(&task.init), exit);
        Ok(task)
    }

    /// Writes down what was made, for a process that knows nothing else.
    ///
    /// # Errors
    ///
    /// When the bundle cannot be written to.
    pub(crate) fn write_record(&self) -> Result<()> {
        let record = Record {
            pid: self.init.pid(),
            cgroup: self.cgroup().cloned().unwrap_or_default(),
        };
        record.write(&self.bundle)
    }
}
