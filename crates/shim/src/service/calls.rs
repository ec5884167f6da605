//! containerd's calls: from its messages to tasks and back, each in one place.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use containerd_shim::api::{
    CheckpointTaskRequest, CloseIORequest, ConnectRequest, ConnectResponse, CreateTaskRequest,
    CreateTaskResponse, DeleteRequest, DeleteResponse, Empty, ExecProcessRequest, KillRequest,
    PauseRequest, PidsRequest, PidsResponse, ResizePtyRequest, ResumeRequest, ShutdownRequest,
    StartRequest, StartResponse, StateRequest, StateResponse, StatsRequest, StatsResponse, Status,
    UpdateTaskRequest, WaitRequest, WaitResponse,
};
use containerd_shim::protos::events::task::{
    TaskDelete, TaskExecAdded, TaskExecStarted, TaskPaused, TaskResumed, TaskStart,
};
use containerd_shim::protos::protobuf::MessageField;
use containerd_shim::protos::protobuf::well_known_types::timestamp::Timestamp;
use containerd_shim::protos::types::task::ProcessInfo;
use containerd_shim::util::convert_to_timestamp;
use containerd_shim::{Task as TaskService, TtrpcContext, TtrpcResult};
use sampan_allocator::release_memory;

use super::Service;
use crate::bundle::stdio::Stdio;
use crate::container::reaper::Exit;
use crate::error::{Result, ShimError};
use crate::task::state::State;
use crate::this_program::own_pid;

/// How long after a start its memory is given back: containerd has its answer and its events by then.
const RELEASE_DELAY: Duration = Duration::from_secs(1);

/// Returns the memory that a start has freed to the operating system. The supervisor is idle after a start, and the
/// allocator by itself returns memory only while it allocates.
fn release_memory_later() {
    tokio::spawn(async {
        tokio::time::sleep(RELEASE_DELAY).await;
        release_memory();
    });
}

fn moment(exit: Exit) -> MessageField<Timestamp> {
    Some(convert_to_timestamp(Some(exit.at.into()))).into()
}

/// containerd's calls of a service.
pub(crate) struct Calls(pub(crate) Arc<Service>);

/// Runs a call that changes something to its end. The ttrpc library drops a call, after any of its steps, when
/// containerd's connection closes and when the call's deadline passes. A container that is half made or half removed
/// would then stay on the node.
///
/// # Panics
///
/// When the call does.
async fn to_the_end<T: Send + 'static>(
    call: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    // Boxed here, its state passes through the stack once and not at each step of the runtime.
    let ended = tokio::spawn(Box::pin(call)).await;
    ended.unwrap_or_else(|panic| resume_unwind(panic.into_panic()))
}

#[async_trait]
impl TaskService for Calls {
    async fn create(
        &self,
        _: &TtrpcContext,
        request: CreateTaskRequest,
    ) -> TtrpcResult<CreateTaskResponse> {
        let service = Arc::clone(&self.0);
        let pid = to_the_end(async move { service.create_task(request).await }).await?;
        Ok(CreateTaskResponse {
            pid,
            ..CreateTaskResponse::default()
        })
    }

    async fn start(&self, _: &TtrpcContext, request: StartRequest) -> TtrpcResult<StartResponse> {
        let service = Arc::clone(&self.0);
        let pid = to_the_end(async move { service.start_process(request).await }).await?;
        Ok(StartResponse {
            pid: pid.unsigned_abs(),
            ..StartResponse::default()
        })
    }

    async fn delete(
        &self,
        _: &TtrpcContext,
        request: DeleteRequest,
    ) -> TtrpcResult<DeleteResponse> {
        let service = Arc::clone(&self.0);
        let (pid, exit) = to_the_end(async move { service.delete_process(request).await }).await?;
        Ok(DeleteResponse {
            pid: pid.unsigned_abs(),
            exit_status: exit.code,
            exited_at: moment(exit),
            ..DeleteResponse::default()
        })
    }

    async fn kill(&self, _: &TtrpcContext, request: KillRequest) -> TtrpcResult<Empty> {
        let (exec, signal) = (&request.exec_id, request.signal);
        self.0.task(&request.id)?.kill(exec, signal, request.all)?;
        Ok(Empty::new())
    }

    async fn wait(&self, _: &TtrpcContext, request: WaitRequest) -> TtrpcResult<WaitResponse> {
        let process = self.0.task(&request.id)?.process(&request.exec_id)?;
        let exit = process.exit().await;
        Ok(WaitResponse {
            exit_status: exit.code,
            exited_at: moment(exit),
            ..WaitResponse::default()
        })
    }

    async fn state(&self, _: &TtrpcContext, request: StateRequest) -> TtrpcResult<StateResponse> {
        let task = self.0.task(&request.id)?;
        let process = task.process(&request.exec_id)?;
        let mut response = StateResponse {
            id: request.id,
            exec_id: request.exec_id,
            bundle: task.bundle.display().to_string(),
            pid: process.pid().unsigned_abs(),
            stdin: process.stdio.stdin.clone(),
            stdout: process.stdio.stdout.clone(),
            stderr: process.stdio.stderr.clone(),
            terminal: process.stdio.terminal,
            ..StateResponse::default()
        };
        let status = match process.state() {
            State::Added | State::Created => Status::CREATED,
            State::Running => Status::RUNNING,
            State::Paused => Status::PAUSED,
            State::Stopped(exit) => {
                response.exit_status = exit.code;
                response.exited_at = moment(exit);
                Status::STOPPED
            }
        };
        response.status = status.into();
        Ok(response)
    }

    async fn pids(&self, _: &TtrpcContext, request: PidsRequest) -> TtrpcResult<PidsResponse> {
        let task = self.0.task(&request.id)?;
        let pids = match task.cgroup() {
            None => vec![own_pid()],
            Some(cgroup) => cgroup.processes().into_iter().collect(),
        };
        let mut response = PidsResponse::default();
        for pid in pids {
            response.processes.push(ProcessInfo {
                pid: pid.unsigned_abs(),
                ..ProcessInfo::default()
            });
        }
        Ok(response)
    }

    async fn exec(&self, _: &TtrpcContext, request: ExecProcessRequest) -> TtrpcResult<Empty> {
        let task = self.0.task(&request.id)?;
        let stdio = Stdio {
            stdin: request.stdin,
            stdout: request.stdout,
            stderr: request.stderr,
            terminal: request.terminal,
        };
        let specification = serde_json::from_slice(&request.spec.value)
            .map_err(|error| ShimError::Invalid(format!("the process's specification: {error}")))?;
        task.add(&request.exec_id, stdio, specification)?;
        self.0.context.events.publish(&TaskExecAdded {
            container_id: request.id,
            exec_id: request.exec_id,
            ..TaskExecAdded::default()
        });
        Ok(Empty::new())
    }

    async fn resize_pty(&self, _: &TtrpcContext, request: ResizePtyRequest) -> TtrpcResult<Empty> {
        let process = self.0.task(&request.id)?.process(&request.exec_id)?;
        process.resize(request.width, request.height)?;
        Ok(Empty::new())
    }

    async fn close_io(&self, _: &TtrpcContext, request: CloseIORequest) -> TtrpcResult<Empty> {
        let process = self.0.task(&request.id)?.process(&request.exec_id)?;
        if request.stdin {
            process.close_stdin();
        }
        Ok(Empty::new())
    }

    async fn pause(&self, _: &TtrpcContext, request: PauseRequest) -> TtrpcResult<Empty> {
        let task = self.0.task(&request.id)?;
        to_the_end(async move { task.freeze(true).await }).await?;
        self.0.context.events.publish(&TaskPaused {
            container_id: request.id,
            ..TaskPaused::default()
        });
        Ok(Empty::new())
    }

    async fn resume(&self, _: &TtrpcContext, request: ResumeRequest) -> TtrpcResult<Empty> {
        let task = self.0.task(&request.id)?;
        to_the_end(async move { task.freeze(false).await }).await?;
        self.0.context.events.publish(&TaskResumed {
            container_id: request.id,
            ..TaskResumed::default()
        });
        Ok(Empty::new())
    }

    async fn checkpoint(&self, _: &TtrpcContext, _: CheckpointTaskRequest) -> TtrpcResult<Empty> {
        Err(ShimError::Unsupported("checkpoints are not supported".to_owned()).into())
    }

    async fn update(&self, _: &TtrpcContext, request: UpdateTaskRequest) -> TtrpcResult<Empty> {
        let task = self.0.task(&request.id)?;
        let update = serde_json::from_slice(&request.resources.value)
            .map_err(|error| ShimError::Invalid(format!("the resources: {error}")))?;
        to_the_end(async move { task.update(update).await }).await?;
        Ok(Empty::new())
    }

    async fn stats(&self, _: &TtrpcContext, request: StatsRequest) -> TtrpcResult<StatsResponse> {
        let task = self.0.task(&request.id)?;
        Ok(StatsResponse {
            stats: MessageField::some(task.measure()?),
            ..StatsResponse::default()
        })
    }

    async fn connect(
        &self,
        _: &TtrpcContext,
        request: ConnectRequest,
    ) -> TtrpcResult<ConnectResponse> {
        let task_pid = self.0.task(&request.id).map_or(0, |task| task.init.pid());
        Ok(ConnectResponse {
            shim_pid: own_pid().unsigned_abs(),
            task_pid: task_pid.unsigned_abs(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..ConnectResponse::default()
        })
    }

    async fn shutdown(&self, _: &TtrpcContext, _: ShutdownRequest) -> TtrpcResult<Empty> {
        let service = Arc::clone(&self.0);
        let shut_down = async move {
            service.remove_orphans().await;
            // Other tasks of the pod may still be there.
            if service.is_idle() {
                service.over.signal();
            }
            Ok(())
        };
        to_the_end(shut_down).await?;
        Ok(Empty::new())
    }
}

impl Service {
    async fn start_process(&self, request: StartRequest) -> Result<i32> {
        let task = self.task(&request.id)?;
        let events = &self.context.events;
        let started = if request.exec_id.is_empty() {
            let tell = |pid: i32| {
                events.publish(&TaskStart {
                    container_id: request.id.clone(),
                    pid: pid.unsigned_abs(),
                    ..TaskStart::default()
                });
            };
            task.start(tell).await
        } else {
            let tell = |pid: i32| {
                events.publish(&TaskExecStarted {
                    container_id: request.id.clone(),
                    exec_id: request.exec_id.clone(),
                    pid: pid.unsigned_abs(),
                    ..TaskExecStarted::default()
                });
            };
            task.start_exec(&request.exec_id, tell).await
        };
        release_memory_later();
        started.inspect_err(|error| {
            tracing::warn!(task = request.id, exec = request.exec_id, %error, "no start");
        })
    }

    /// Returns the process's number and its end.
    async fn delete_process(&self, request: DeleteRequest) -> Result<(i32, Exit)> {
        let task = self.task(&request.id)?;
        if !request.exec_id.is_empty() {
            return task.delete_exec(&request.exec_id);
        }
        let (pid, exit) = task.delete().await?;
        self.tasks().remove(&request.id);
        self.context.events.publish(&TaskDelete {
            container_id: request.id.clone(),
            id: request.id,
            pid: pid.unsigned_abs(),
            exit_status: exit.code,
            exited_at: moment(exit),
            ..TaskDelete::default()
        });
        Ok((pid, exit))
    }
}
