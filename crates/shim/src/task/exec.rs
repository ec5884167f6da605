//! Programs that are run in a container beside its first process.

use std::sync::Arc;
use std::time::SystemTime;

use super::process::Process;
use super::state::{Event, State};
use super::{Exec, Task};
use crate::bundle::stdio::Stdio;
use crate::container::children::{receive_from, start_child, unexpected};
use crate::container::reaper::Exit;
use crate::control::messages::{ExecRequest, Message, Workload};
use crate::error::{Result, ShimError};
use crate::this_program::EXEC;

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
        self.init.state().after(Event::Exec)?;
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
        process.state().after(Event::Make)?;
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
        process.set_pid(pid)?;
        if process.stdio.terminal {
            process.attach_terminal(link.take_fd())?;
        }
        process.apply(Event::Start)?;
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
        let exit = match process.state().after(Event::Delete)? {
            State::Stopped(exit) => exit,
            State::Added | State::Created | State::Running | State::Paused => Exit {
                code: 0,
                at: SystemTime::now(),
            },
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
}
