//! A pod's sandbox as a task, and its program, which is the first process of the namespace that containers share.
//!
//! A pod has no process of its own until a container asks for the sandbox's process namespace. Then the
//! sandbox's program, `pause`, is started as runc starts it: in the sandbox's control group, with the
//! sandbox's specification. It reaps what containers leave, and the pod has failed when it ends.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use super::context::TaskContext;
use super::process::Process;
use super::state::State;
use super::{Kind, Task};
use crate::bundle::leftovers;
use crate::bundle::record::Record;
use crate::bundle::stdio::Stdio;
use crate::cgroup::{Making, Plan};
use crate::container::children::unexpected;
use crate::container::plan;
use crate::container::prepared::PreparedChild;
use crate::control::messages::{CreateRequest, Message};
use crate::control::socket::ControlSocket;
use crate::error::{Result, ShimError};
use crate::pod::shared_processes::SharedProcesses;
use crate::this_program::own_pid;

impl Task {
    /// A sandbox: there is nothing to make until its containers share a process namespace.
    pub(crate) fn sandbox(
        id: &str,
        bundle: &Path,
        shared_processes: SharedProcesses,
        context: TaskContext,
    ) -> Arc<Self> {
        let init = Process::of_sandbox(own_pid());
        let kind = Kind::Sandbox(shared_processes);
        Arc::new(Self::new(id, bundle, init, kind, context))
    }

    /// The path of the process namespace that the sandbox's containers share. Makes it at first. `namespace` and
    /// `address` are containerd's.
    ///
    /// # Errors
    ///
    /// [`ShimError::Invalid`] for a task that is no sandbox, [`ShimError::Container`] when its program cannot be started.
    pub(crate) fn share_processes<'a>(
        self: &'a Arc<Self>,
        namespace: &'a str,
        address: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<PathBuf>> + Send + 'a>> {
        // Boxed for the reason at `Task::create`.
        Box::pin(self.make_shared_processes(namespace, address))
    }

    async fn make_shared_processes(
        self: &Arc<Self>,
        namespace: &str,
        address: &str,
    ) -> Result<PathBuf> {
        let Kind::Sandbox(shared) = &self.kind else {
            return Err(ShimError::Invalid(format!("{} is no sandbox", self.id)));
        };
        let making = shared.making.lock().await;
        if let Some(path) = shared.path() {
            return Ok(path);
        }
        let plan = plan(shared.group.clone(), &self.id)?;
        let request = CreateRequest {
            id: self.id.clone(),
            bundle: self.bundle.clone(),
            rootfs: shared.rootfs.clone(),
            stdio: Stdio::default(),
            pod: None,
            is_sandbox: true,
            namespace: namespace.to_owned(),
            address: address.to_owned(),
            group: plan.absolute(),
        };
        let made = self.make_init(shared, &request, plan).await;
        if made.is_err() {
            // What it failed for is worth more than that something is still in use.
            let _ = shared.remove().await;
            let _ = leftovers::clear_init(&self.bundle, &self.id);
        }
        drop(making);
        made
    }

    async fn make_init(
        self: &Arc<Self>,
        shared: &SharedProcesses,
        request: &CreateRequest,
        plan: Plan,
    ) -> Result<PathBuf> {
        let making = Making::begin(plan);
        let mut begun =
            PreparedChild::new(request, making, &self.context.reaper, &self.context.standby)
                .await?;
        let cgroup = begun.made.cgroup.clone();
        let built = begun.build().await;
        let pid = match built {
            Ok((pid, _)) => pid,
            Err(error) => {
                leftovers::remove_group(&cgroup).await?;
                return Err(error);
            }
        };
        let mut link = begun.link;
        let exit = self.context.reaper.exit_of(pid);
        let record = Record {
            pid: self.init.pid(),
            cgroup: cgroup.clone(),
        };
        let namespace = format!("/proc/{pid}/ns/pid");
        let opened = File::open(&namespace);
        let namespace = match opened {
            Ok(namespace) => namespace,
            Err(error) => {
                leftovers::remove_group(&cgroup).await?;
                return Err(ShimError::system(format!("opening {namespace}"))(error));
            }
        };
        let path = shared.set_first(cgroup.clone(), namespace);
        record.write(&self.bundle)?;
        self.begin_init(&mut link).await?;
        if let State::Stopped(_) = self.init.state() {
            let message = "the pod was stopped meanwhile".to_owned();
            return Err(ShimError::Precondition(message));
        }
        // A program that could not start fails its container, not the pod.
        let task = Arc::clone(self);
        tokio::spawn(async move {
            let Ok(exit) = exit.await else {
                tracing::error!(
                    task = task.id,
                    "the end of the sandbox's process was missed"
                );
                return;
            };
            cgroup.kill();
            task.ended(&task.init, exit);
        });
        Ok(path)
    }

    /// Lets the sandbox's program start.
    async fn begin_init(&self, link: &mut ControlSocket) -> Result<()> {
        self.release().await?;
        let heard = link.next().await;
        match heard.map_err(ShimError::system("hearing of the sandbox's program"))? {
            // Its end of the link closed when it took over the process.
            None => Ok(()),
            Some(Message::Failed { cause }) => Err(ShimError::Container(cause)),
            Some(other) => Err(unexpected(&other)),
        }
    }
}
