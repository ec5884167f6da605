//! containerd's Create in three steps: what is asked for is prepared, built and announced.

use std::path::PathBuf;
use std::sync::Arc;

use containerd_shim::api::CreateTaskRequest;
use containerd_shim::protos::events::task::{TaskCreate, TaskIO};
use containerd_shim::protos::protobuf::MessageField;

use super::{Entry, Service};
use crate::bundle::config::BundleConfig;
use crate::bundle::rootfs::RootMount;
use crate::bundle::stdio::Stdio;
use crate::cgroup::Plan;
use crate::container::plan;
use crate::control::messages::CreateRequest;
use crate::error::{Result, ShimError};
use crate::pod::namespaces::Pod;
use crate::pod::shared_processes::SharedProcesses;
use crate::task::Task;
use crate::this_program::own_pid;

/// What is to be made, checked. Nothing of it is there yet.
enum Prepared {
    Sandbox(Box<Sandbox>),
    Container(Box<Container>),
}

struct Sandbox {
    bundle: PathBuf,
    pod: Pod,
    shared_processes: SharedProcesses,
}

struct Container {
    request: CreateRequest,
    plan: Plan,
}

impl Service {
    /// Makes a task, up to the point where it waits for its start. Returns the number of its first process.
    ///
    /// # Errors
    ///
    /// [`ShimError`] with the cause; then there is no task.
    pub(super) async fn create_task(&self, request: CreateTaskRequest) -> Result<u32> {
        self.reserve(&request.id)?;
        let steps = async {
            let prepared = self.prepare(&request).await?;
            self.build(&request.id, prepared).await
        };
        let built = steps.await;
        match built {
            Ok(task) => Ok(self.announce(request, task)),
            Err(error) => {
                self.tasks().remove(&request.id);
                tracing::warn!(task = request.id, %error, "a task could not be made");
                Err(error)
            }
        }
    }

    /// Keeps a name for the task that is being made.
    fn reserve(&self, id: &str) -> Result<()> {
        let mut tasks = self.tasks();
        if tasks.contains_key(id) {
            return Err(ShimError::Exists(format!("the task {id}")));
        }
        tasks.insert(id.to_owned(), Entry::Coming);
        Ok(())
    }

    /// Reads the bundle's configuration, once, and decides what is made from it.
    async fn prepare(&self, request: &CreateTaskRequest) -> Result<Prepared> {
        let bundle = PathBuf::from(&request.bundle);
        let config = BundleConfig::read(&bundle)?;
        if config.is_sandbox() {
            return prepare_sandbox(request, bundle, &config);
        }
        if !request.checkpoint.is_empty() {
            return Err(ShimError::Unsupported(
                "restoring a checkpoint is not supported".to_owned(),
            ));
        }
        let plan = plan(config.group(), &request.id)?;
        let request = CreateRequest {
            id: request.id.clone(),
            bundle,
            rootfs: RootMount::all_of(request),
            stdio: Stdio {
                stdin: request.stdin.clone(),
                stdout: request.stdout.clone(),
                stderr: request.stderr.clone(),
                terminal: request.terminal,
            },
            pod: self.pod_of(&config).await?,
            is_sandbox: false,
            namespace: self.namespace.clone(),
            address: self.address.clone(),
            group: plan.absolute(),
        };
        Ok(Prepared::Container(Box::new(Container { request, plan })))
    }

    /// What the sandbox said of the pod that a container belongs to. Makes the shared process namespace
    /// if the container asks for it.
    async fn pod_of(&self, config: &BundleConfig) -> Result<Option<Pod>> {
        let pod = self.pod().clone();
        let (Some(sandbox), Some(mut pod)) = (config.sandbox(), pod) else {
            return Ok(None);
        };
        if pod.shares_processes_with(config) {
            let sandbox = self.task(sandbox)?;
            let path = sandbox.share_processes(&self.namespace, &self.address);
            pod.share_processes_at(path.await?);
        }
        Ok(Some(pod))
    }

    /// Makes it, and writes into the bundle what was made.
    async fn build(&self, id: &str, prepared: Prepared) -> Result<Arc<Task>> {
        let context = self.context.clone();
        let task = match prepared {
            Prepared::Sandbox(sandbox) => {
                let Sandbox {
                    bundle,
                    pod,
                    shared_processes,
                } = *sandbox;
                *self.pod() = Some(pod);
                Task::sandbox(id, &bundle, shared_processes, context)
            }
            Prepared::Container(container) => {
                let Container { request, plan } = *container;
                Task::create(request, plan, context).await?
            }
        };
        if let Err(error) = task.write_record() {
            // That the record cannot be written says more than that the container cannot be removed.
            if let Err(error) = task.remove().await {
                tracing::warn!(task = id, %error, "not all of a task could be removed");
            }
            return Err(error);
        }
        Ok(task)
    }

    /// Publishes that the task is there, and lets other calls find it.
    fn announce(&self, request: CreateTaskRequest, task: Arc<Task>) -> u32 {
        let pid = task.init.pid().unsigned_abs();
        let event = TaskCreate {
            container_id: request.id.clone(),
            bundle: request.bundle,
            rootfs: request.rootfs,
            io: MessageField::some(TaskIO {
                stdin: request.stdin,
                stdout: request.stdout,
                stderr: request.stderr,
                terminal: request.terminal,
                ..TaskIO::default()
            }),
            checkpoint: request.checkpoint,
            pid,
            ..TaskCreate::default()
        };
        self.context.events.publish(&event);
        self.tasks().insert(request.id, Entry::There(task));
        pid
    }
}

fn prepare_sandbox(
    request: &CreateTaskRequest,
    bundle: PathBuf,
    config: &BundleConfig,
) -> Result<Prepared> {
    let pod = Pod::of_sandbox(config, &bundle, own_pid())
        .map_err(|error| ShimError::Unsupported(error.to_string()))?;
    let rootfs = RootMount::all_of(request);
    Ok(Prepared::Sandbox(Box::new(Sandbox {
        bundle,
        pod,
        shared_processes: SharedProcesses::new(rootfs, config.group()),
    })))
}
