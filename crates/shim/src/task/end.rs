//! The end of a task: signals, the ends of its processes, and its removal.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use containerd_shim::protos::events::task::{TaskExit, TaskOOM};
use containerd_shim::util::convert_to_timestamp;
use rustix::process::Signal;
use tokio::sync::oneshot;

use super::process::Process;
use super::state::{Event, State};
use super::{Kind, Task, signal};
use crate::bundle::leftovers;
use crate::container::reaper::Exit;
use crate::control::messages::Workload;
use crate::error::{Result, ShimError};

/// The exit code of a process that SIGKILL ended.
const KILLED: u32 = 128 + 9;

impl Task {
    /// Sends a signal to a process, or to all of the container's.
    ///
    /// # Errors
    ///
    /// [`ShimError::NotFound`] when the process has ended.
    pub(crate) fn kill(&self, exec_id: &str, signal: u32, all: bool) -> Result<()> {
        let process = self.process(exec_id)?;
        let container = match &self.kind {
            Kind::Container(container) => container,
            Kind::Sandbox(shared) => {
                process.state().after(Event::Signal)?;
                // A sandbox has no process that could handle a signal: each one ends it.
                self.ended(
                    &process,
                    Exit {
                        code: 128 + signal,
                        at: SystemTime::now(),
                    },
                );
                shared.kill();
                return Ok(());
            }
        };
        let invalid = || ShimError::Invalid(format!("there is no signal {signal}"));
        let mut signal = signal::parse(signal).ok_or_else(invalid)?;
        if signal == Signal::KILL {
            container.killed.store(true, Ordering::Release);
            if all {
                container.cgroup.kill();
            }
        }
        if container.workload == Workload::Wasm {
            signal = signal::for_function(signal);
        }
        process.signal(signal)
    }

    /// Takes the container apart. A first process that was never started is ended.
    ///
    /// # Errors
    ///
    /// [`ShimError::Precondition`] when it runs.
    pub(crate) async fn delete(&self) -> Result<(i32, Exit)> {
        let state = self.init.state().after(Event::Delete)?;
        if !matches!(state, State::Stopped(_)) {
            match self.kill("", 9, true) {
                Ok(()) | Err(ShimError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let exit = self.init.exit().await;
        self.remove().await?;
        Ok((self.init.pid(), exit))
    }

    /// Takes apart what is left of a container that containerd has lost.
    ///
    /// # Errors
    ///
    /// When something of it is in use.
    pub(crate) async fn take_apart(&self) -> Result<()> {
        self.remove().await?;
        // Making it may have made the bundle's folder anew. Other files in it are not the shim's.
        for folder in [self.bundle.join("rootfs"), self.bundle.clone()] {
            match std::fs::remove_dir(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let doing = format!("removing {}", folder.display());
                    return Err(ShimError::system(doing)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Ends its processes and removes what the shim has made for it.
    ///
    /// # Errors
    ///
    /// When something of it is in use.
    pub(crate) async fn remove(&self) -> Result<()> {
        match &self.kind {
            Kind::Container(container) => leftovers::remove_group(&container.cgroup).await?,
            Kind::Sandbox(shared) => shared.remove().await?,
        }
        leftovers::clear(&self.bundle)
    }

    /// Waits for a process's end and publishes it.
    pub(super) fn follow(self: &Arc<Self>, process: Arc<Process>, exit: oneshot::Receiver<Exit>) {
        let task = Arc::clone(self);
        tokio::spawn(async move {
            let Ok(exit) = exit.await else {
                tracing::error!(task = task.id, "the end of a process was missed");
                return;
            };
            // The event of its start comes first.
            drop(process.starting.lock().await);
            if process.exec_id.is_empty()
                && let Some(container) = task.container()
            {
                let cgroup = &container.cgroup;
                let kills = &task.context.oom_kills;
                let was_killed = exit.code == KILLED && !container.killed.load(Ordering::Acquire);
                if kills.of(cgroup, &container.group_above, was_killed) > 0 {
                    let mut event = TaskOOM::new();
                    event.container_id.clone_from(&task.id);
                    task.context.events.publish(&event);
                }
                // Without a process namespace of its own, others may have outlived it.
                cgroup.kill();
            }
            let (held, terminal) = process.take_streams();
            if let Some(terminal) = terminal {
                terminal.shut_down().await;
            }
            drop(held);
            task.ended(&process, exit);
        });
    }

    /// Notes and publishes the end of a process.
    pub(super) fn ended(&self, process: &Process, exit: Exit) {
        if let Err(error) = process.apply(Event::Exit(exit)) {
            // A sandbox has ended when it is stopped, and its program ends for that.
            tracing::debug!(task = self.id, %error, "the end of a process was known");
            return;
        }
        let mut event = TaskExit::new();
        event.container_id.clone_from(&self.id);
        event.id = if process.exec_id.is_empty() {
            self.id.clone()
        } else {
            process.exec_id.clone()
        };
        event.pid = process.pid().unsigned_abs();
        event.exit_status = exit.code;
        event.exited_at = Some(convert_to_timestamp(Some(exit.at.into()))).into();
        self.context.events.publish(&event);
    }
}
