//! A task: a sandbox, which is only a state, or a container with its processes.

pub(crate) mod events;
mod exec;
pub(crate) mod group;
pub(crate) mod process;
mod sandbox;
mod signal;
mod type_url;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use containerd_shim::protos::events::task::{TaskExit, TaskOOM};
use containerd_shim::util::convert_to_timestamp;
use rustix::process::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::bundle::record::{self, Record};
use crate::bundle::stdio::Stdio;
use crate::cgroup::{self, Cgroup, Made, Making, Plan, Resources};
use crate::container::children::{StandbyChild, attach_terminal, unexpected};
use crate::container::reaper::{Exit, Reaper};
use crate::container::{Container, PreparedChild, remove_group};
use crate::control::socket::{ControlSocket, CreateRequest, Message, RootMount, Workload};
use crate::error::{Result, ShimError};
use crate::pod::oom::OomKills;
use events::Events;
use exec::Exec;
use process::{Process, State};
use sandbox::SharedProcesses;

/// How long a process that could not start may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// What tasks need of the supervisor. Cheap to clone.
#[derive(Clone)]
pub(crate) struct TaskContext {
    pub(crate) events: Events,
    pub(crate) reaper: Reaper,
    /// Waits for the first container of a pod.
    pub(crate) standby: StandbyChild,
    pub(crate) oom_kills: OomKills,
}

/// A task.
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) bundle: PathBuf,
    pub(crate) init: Arc<Process>,
    /// `None` for a sandbox.
    container: Option<Container>,
    pub(crate) execs: Mutex<HashMap<String, Arc<Exec>>>,
    /// Of a sandbox alone.
    pub(crate) shared_processes: SharedProcesses,
    pub(crate) context: TaskContext,
}

impl Task {
    /// A sandbox: there is nothing to make until its containers share a process namespace.
    pub(crate) fn sandbox(
        id: &str,
        bundle: &Path,
        rootfs: Vec<RootMount>,
        context: TaskContext,
    ) -> Arc<Self> {
        let init = Process::new("", Stdio::default());
        init.set_sandbox_pid(own_pid());
        let mut sandbox = Self::new(id, bundle, init, None, context);
        sandbox.shared_processes = SharedProcesses::new(rootfs);
        Arc::new(sandbox)
    }

    /// Makes a container, up to the point where it waits for its start.
    ///
    /// # Errors
    ///
    /// [`ShimError::Container`] with the cause; then nothing is left of it.
    pub(crate) async fn create(
        request: CreateRequest,
        plan: Plan,
        context: TaskContext,
    ) -> Result<Arc<Self>> {
        request.stdio.check()?;
        let init = Process::new("", request.stdio.clone());
        // A function that answers requests has these even where the pod asks for a terminal.
        init.holds(request.stdio.hold()?);
        let making = Making::begin(plan);
        let mut begun = PreparedChild::new(&request, making, &context).await?;
        let built = begun.build().await;
        let PreparedChild { mut link, made, .. } = begun;
        let Made {
            cgroup, resources, ..
        } = made;
        let attached = built.and_then(|(pid, workload)| {
            init.set_pid(pid);
            let exit = context.reaper.exit_of(pid);
            let terminal = link.take_fd();
            if request.stdio.terminal && (terminal.is_some() || workload == Workload::Native) {
                attach_terminal(&init, terminal)?;
            }
            Ok((workload, exit))
        });
        let (workload, exit) = match attached {
            Ok(attached) => attached,
            Err(error) => {
                remove_group(&cgroup).await?;
                record::clear(&request.bundle)?;
                return Err(error);
            }
        };
        *init.starting.lock().await = Some(link);
        let container = Some(Container {
            workload,
            cgroup,
            resources: tokio::sync::Mutex::new(resources),
            in_pod: request.pod.is_some(),
        });
        let task = Self::new(&request.id, &request.bundle, init, container, context);
        let task = Arc::new(task);
        task.follow(Arc::clone(&task.init), exit);
        Ok(task)
    }

    fn new(
        id: &str,
        bundle: &Path,
        init: Process,
        container: Option<Container>,
        context: TaskContext,
    ) -> Self {
        Self {
            id: id.to_owned(),
            bundle: bundle.to_owned(),
            init: Arc::new(init),
            container,
            execs: Mutex::default(),
            shared_processes: SharedProcesses::default(),
            context,
        }
    }

    pub(crate) fn is_sandbox(&self) -> bool {
        self.container.is_none()
    }

    /// Its control group; `None` for a sandbox.
    pub(crate) fn cgroup(&self) -> Option<&Cgroup> {
        self.container.as_ref().map(|container| &container.cgroup)
    }

    /// Changes its limits.
    ///
    /// # Errors
    ///
    /// When a limit makes no sense or the kernel refuses it; those before it may hold then.
    pub(crate) async fn update(&self, update: Resources) -> Result<()> {
        let Some(container) = &self.container else {
            // A sandbox has the pod's group, which the kubelet sets limits of.
            return Ok(());
        };
        let mut resources = container.resources.lock().await;
        let mut updated = resources.updated(update);
        cgroup::update(&container.cgroup, &mut updated).await?;
        *resources = updated;
        Ok(())
    }

    /// Starts its first process. Returns when a function can answer, and when a program runs.
    ///
    /// # Errors
    ///
    /// [`ShimError::Container`] with the cause why it cannot. `started` is called in between, before
    /// the event of its end can be published.
    pub(crate) async fn start(&self, started: impl FnOnce(i32)) -> Result<i32> {
        let pid = self.init.pid();
        let mut starting = self.init.starting.lock().await;
        if self.init.state() != State::Created {
            let message = "the task was started already, or has ended".to_owned();
            return Err(ShimError::Precondition(message));
        }
        if !self.is_sandbox() {
            let Some(mut link) = starting.take() else {
                let message = "the task could not be started before".to_owned();
                return Err(ShimError::Precondition(message));
            };
            if let Err(error) = self.begin(&mut link).await {
                // Its process ends by itself. The event of that comes before this answer.
                drop((link, starting));
                let _ = timeout(END_TIMEOUT, self.init.exit()).await;
                return Err(error);
            }
        }
        self.init.set(State::Running);
        started(pid);
        if self.is_sandbox() {
            let TaskContext {
                reaper, standby, ..
            } = &self.context;
            standby.prepare(reaper);
        }
        Ok(pid)
    }

    /// Lets the first process start, and hears how that went.
    async fn begin(&self, link: &mut ControlSocket) -> Result<()> {
        self.release().await?;
        let heard = link.next().await;
        match heard.map_err(ShimError::system("hearing of the start"))? {
            Some(Message::Ready) => Ok(()),
            Some(Message::Failed { cause }) => Err(ShimError::Container(cause)),
            // A native program's end of the link closed when it took over the process.
            None if self.workload() == Some(Workload::Native) => Ok(()),
            None => Err(ShimError::Container(
                "the function's process ended before it could answer".to_owned(),
            )),
            Some(other) => Err(unexpected(&other)),
        }
    }

    pub(crate) fn workload(&self) -> Option<Workload> {
        self.container.as_ref().map(|container| container.workload)
    }

    /// Lets the first process go on, which waits at a socket that libcontainer made.
    pub(crate) async fn release(&self) -> Result<()> {
        let folder = record::folder(&self.bundle)?.join(&self.id);
        let release = async || {
            // Through a descriptor, because a socket's path may not be as long as a bundle's is.
            let folder = std::fs::File::open(&folder)?;
            let path = format!(
                "/proc/self/fd/{}/notify.sock",
                std::os::fd::AsRawFd::as_raw_fd(&folder)
            );
            let mut stream = UnixStream::connect(path).await?;
            stream.write_all(b"start container").await?;
            std::io::Result::Ok(())
        };
        release().await.map_err(ShimError::system(
            "letting the container's first process start",
        ))
    }

    /// A process by its name; the first one has none.
    ///
    /// # Errors
    ///
    /// [`ShimError::NotFound`].
    pub(crate) fn process(&self, exec_id: &str) -> Result<Arc<Process>> {
        if exec_id.is_empty() {
            return Ok(Arc::clone(&self.init));
        }
        self.exec(exec_id).map(|exec| Arc::clone(&exec.process))
    }

    /// Sends a signal to a process, or to all of the container's.
    ///
    /// # Errors
    ///
    /// [`ShimError::NotFound`] when the process has ended.
    pub(crate) fn kill(&self, exec_id: &str, signal: u32, all: bool) -> Result<()> {
        let process = self.process(exec_id)?;
        let Some(cgroup) = self.cgroup() else {
            if let State::Stopped(_) = process.state() {
                return Err(ShimError::NotFound("process already finished".to_owned()));
            }
            // A sandbox has no process that could handle a signal: each one ends it.
            self.ended(
                &process,
                Exit {
                    code: 128 + signal,
                    at: SystemTime::now(),
                },
            );
            self.shared_processes.kill();
            return Ok(());
        };
        let invalid = || ShimError::Invalid(format!("there is no signal {signal}"));
        let mut signal = signal::parse(signal).ok_or_else(invalid)?;
        if all && signal == Signal::KILL {
            cgroup.kill();
        }
        if self.workload() == Some(Workload::Wasm) {
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
        match self.init.state() {
            State::Running | State::Paused => return Err(still_runs()),
            State::Created => match self.kill("", 9, true) {
                Ok(()) | Err(ShimError::NotFound(_)) => {}
                Err(error) => return Err(error),
            },
            State::Stopped(_) => {}
        }
        let exit = self.init.exit().await;
        if let Some(cgroup) = self.cgroup() {
            remove_group(cgroup).await?;
        }
        self.shared_processes.remove().await?;
        record::clear(&self.bundle)?;
        Ok((self.init.pid(), exit))
    }

    /// Takes apart what is left of a container that containerd has lost.
    ///
    /// # Errors
    ///
    /// When something of it is in use.
    pub(crate) async fn take_apart(&self) -> Result<()> {
        if let Some(cgroup) = self.cgroup() {
            remove_group(cgroup).await?;
        }
        self.shared_processes.remove().await?;
        record::clear(&self.bundle)?;
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

    /// Waits for a process's end and publishes it.
    pub(crate) fn follow(
        self: &Arc<Self>,
        process: Arc<Process>,
        exit: tokio::sync::oneshot::Receiver<Exit>,
    ) {
        let task = Arc::clone(self);
        tokio::spawn(async move {
            let Ok(exit) = exit.await else {
                tracing::error!(task = task.id, "the end of a process was missed");
                return;
            };
            // The event of its start comes first.
            drop(process.starting.lock().await);
            if process.exec_id.is_empty()
                && let Some(container) = &task.container
            {
                let cgroup = &container.cgroup;
                if task.context.oom_kills.of(cgroup, container.in_pod) > 0 {
                    let mut event = TaskOOM::new();
                    event.container_id.clone_from(&task.id);
                    task.context.events.publish(&event);
                }
                // Without a process namespace of its own, others may have outlived it.
                cgroup.kill();
            }
            let (held, terminal) = process.take_streams();
            if let Some(terminal) = terminal {
                terminal.copies.shutdown().await;
            }
            drop(held);
            task.ended(&process, exit);
        });
    }

    pub(crate) fn ended(&self, process: &Process, exit: Exit) {
        process.set(State::Stopped(exit));
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

pub(crate) fn still_runs() -> ShimError {
    ShimError::Precondition("the process still runs".to_owned())
}

/// This process's number, as kernels count.
pub(crate) fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// Writes down what was made, for a process that knows nothing else.
pub(crate) fn write_record(task: &Task) -> Result<()> {
    let record = Record {
        pid: task.init.pid(),
        cgroup: task.cgroup().cloned().unwrap_or_default(),
    };
    record.write(&task.bundle)
}
