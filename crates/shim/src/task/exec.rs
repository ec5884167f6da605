//! Programs that are run in a container beside its first process.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::process::{Process, State};
use super::{Task, still_runs};
use crate::EXEC;
use crate::bundle::stdio::Stdio;
use crate::container::children::{attach_terminal, receive_from, start_child, unexpected};
use crate::container::reaper::Exit;
use crate::control::socket::{ExecRequest, Message, Workload};
use crate::error::{Result, ShimError};

/// A process that is run in a container.
pub(crate) struct Exec {
    pub(crate) process: Arc<Process>,
    specification: serde_json::Value,
}

impl Task {
    /// Notes a process that will be run in the container.
    ///
    /// # Errors
    ///
    /// [`ShimError::Unsupported`] where there is no program to run beside, [`ShimError::Exists`].
    pub(crate) fn add(
        &self,
        exec_id: &str,
        stdio: Stdio,
        specification: serde_json::Value,
    ) -> Result<()> {
        match self.workload() {
            Some(Workload::Native) => {}
            Some(Workload::Wasm) => {
                return Err(ShimError::Unsupported(
                    "not supported: a WebAssembly container has no programs to run".to_owned(),
                ));
            }
            None => {
                return Err(ShimError::Unsupported(
                    "not supported: a sandbox of this runtime has no process".to_owned(),
                ));
            }
        }
        stdio.check()?;
        if self.init.state() != State::Running {
            let message = "the container does not run".to_owned();
            return Err(ShimError::Precondition(message));
        }
        let mut execs = self.execs();
        if execs.contains_key(exec_id) {
            return Err(ShimError::Exists(format!("the process {exec_id}")));
        }
        let exec = Exec {
            process: Arc::new(Process::new(exec_id, stdio)),
            specification,
        };
        execs.insert(exec_id.to_owned(), Arc::new(exec));
        Ok(())
    }

    /// Starts a process that was added.
    ///
    /// # Errors
    ///
    /// [`ShimError::Container`] with the cause why it cannot.
    pub(crate) async fn start_exec(
        self: &Arc<Self>,
        exec_id: &str,
        started: impl FnOnce(i32),
    ) -> Result<i32> {
        let exec = self.exec(exec_id)?;
        let process = &exec.process;
        let starting = process.starting.lock().await;
        if process.state() != State::Created || process.pid() != 0 {
            let message = "the process was started already, or has ended".to_owned();
            return Err(ShimError::Precondition(message));
        }
        if !process.stdio.terminal {
            process.holds(process.stdio.hold()?);
        }
        let request = ExecRequest {
            id: self.id.clone(),
            bundle: self.bundle.clone(),
            stdio: process.stdio.clone(),
            process: exec.specification.clone(),
            sub_group: self.sub_group()?,
        };
        let (mut link, mut child) = start_child(EXEC, &request, &self.context.reaper).await?;
        let pid = match receive_from(&mut link, &mut child).await {
            Ok(Message::Executed { pid }) => pid,
            Ok(other) => return Err(unexpected(&other)),
            Err(error) => {
                drop(process.take_streams());
                return Err(error);
            }
        };
        process.set_pid(pid);
        if process.stdio.terminal {
            attach_terminal(process, link.take_fd())?;
        }
        process.set(State::Running);
        let exit = self.context.reaper.exit_of(pid);
        self.follow(Arc::clone(process), exit);
        started(pid);
        drop(starting);
        Ok(pid)
    }

    /// Takes a process away that has ended, or has never begun.
    ///
    /// # Errors
    ///
    /// [`ShimError::Precondition`] when it runs.
    pub(crate) fn delete_exec(&self, exec_id: &str) -> Result<(i32, Exit)> {
        let exec = self.exec(exec_id)?;
        let process = &exec.process;
        let exit = match process.state() {
            State::Stopped(exit) => exit,
            State::Created => Exit {
                code: 0,
                at: SystemTime::now(),
            },
            State::Running | State::Paused => return Err(still_runs()),
        };
        self.execs().remove(exec_id);
        Ok((process.pid(), exit))
    }

    fn sub_group(&self) -> Result<Option<String>> {
        let Some(cgroup) = self.cgroup() else {
            return Ok(None);
        };
        let below = cgroup.below(self.init.pid());
        below.map_err(ShimError::system(
            "finding the control group of the first process",
        ))
    }

    pub(crate) fn exec(&self, exec_id: &str) -> Result<Arc<Exec>> {
        let execs = self.execs();
        execs.get(exec_id).cloned().ok_or_else(|| {
            ShimError::NotFound(format!("no process {exec_id} in the task {}", self.id))
        })
    }

    fn execs(&self) -> MutexGuard<'_, HashMap<String, Arc<Exec>>> {
        self.execs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
