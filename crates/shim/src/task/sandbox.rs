//! The process namespace that the containers of a pod share, and the sandbox's program that is its first process.
//!
//! A pod has no process of its own until a container asks for the sandbox's process namespace. Then the
//! sandbox's program, `pause`, is started as runc starts it: in the sandbox's control group, with the
//! sandbox's specification. It reaps what containers leave, and the pod has failed when it ends.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::process::State;
use super::{Task, own_pid};
use crate::bundle::config::BundleConfig;
use crate::bundle::record::{self, Record};
use crate::bundle::stdio::Stdio;
use crate::cgroup::{Cgroup, Making, Plan};
use crate::container::children::unexpected;
use crate::container::{PreparedChild, plan, remove_group};
use crate::control::socket::{ControlSocket, CreateRequest, Message, RootMount};
use crate::error::{Result, ShimError};
use crate::pod::namespaces::Pod;
use crate::service::Service;

/// A sandbox's part of it.
#[derive(Default)]
pub(crate) struct SharedProcesses {
    /// The mounts of the sandbox's root.
    rootfs: Vec<RootMount>,
    /// Held while the first process is made, so that there is one.
    making: tokio::sync::Mutex<()>,
    init: Mutex<Option<Init>>,
}

/// The first process of the namespace.
struct Init {
    cgroup: Cgroup,
    /// The namespace itself: a process number could be another process's by now.
    namespace: File,
}

impl Init {
    fn path(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/fd/{}",
            own_pid(),
            self.namespace.as_raw_fd()
        ))
    }
}

impl SharedProcesses {
    pub(crate) fn new(rootfs: Vec<RootMount>) -> Self {
        Self {
            rootfs,
            ..Self::default()
        }
    }

    /// Ends the first process, and with it all in the namespace.
    pub(crate) fn kill(&self) {
        if let Some(init) = &*self.init() {
            init.cgroup.kill();
        }
    }

    /// Ends the first process and removes its control group.
    ///
    /// # Errors
    ///
    /// When the group is still in use after a while.
    pub(crate) async fn remove(&self) -> Result<()> {
        let init = self.init().take();
        let Some(init) = init else {
            return Ok(());
        };
        init.cgroup.kill();
        remove_group(&init.cgroup).await
    }

    fn path(&self) -> Option<PathBuf> {
        self.init().as_ref().map(Init::path)
    }

    fn init(&self) -> MutexGuard<'_, Option<Init>> {
        self.init.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    /// What the sandbox said of the pod that a container belongs to. Makes the shared process namespace
    /// if the container asks for it.
    pub(crate) async fn pod_of(&self, head: &BundleConfig) -> Result<Option<Pod>> {
        let (Some(sandbox), Some(mut pod)) = (head.sandbox(), self.pod()) else {
            return Ok(None);
        };
        if pod.shares_processes_with(head) {
            let sandbox = self.task(sandbox)?;
            let plan = plan(&BundleConfig::read(&sandbox.bundle)?, &sandbox.id)?;
            let request = CreateRequest {
                id: sandbox.id.clone(),
                bundle: sandbox.bundle.clone(),
                rootfs: sandbox.shared_processes.rootfs.clone(),
                stdio: Stdio::default(),
                pod: None,
                is_sandbox: true,
                namespace: self.namespace.clone(),
                address: self.address.clone(),
                group: plan.absolute(),
            };
            pod.share_processes_at(sandbox.share_processes(&request, plan).await?);
        }
        Ok(Some(pod))
    }
}

impl Task {
    /// The path of the process namespace that the sandbox's containers share. Makes it at first.
    async fn share_processes(
        self: &Arc<Self>,
        request: &CreateRequest,
        plan: Plan,
    ) -> Result<PathBuf> {
        let shared = &self.shared_processes;
        let making = shared.making.lock().await;
        if let Some(path) = shared.path() {
            return Ok(path);
        }
        let made = self.make_init(request, plan).await;
        if made.is_err() {
            // What it failed for is worth more than that something is still in use.
            let _ = shared.remove().await;
            let _ = record::clear_init(&self.bundle, &self.id);
        }
        drop(making);
        made
    }

    async fn make_init(self: &Arc<Self>, request: &CreateRequest, plan: Plan) -> Result<PathBuf> {
        let making = Making::begin(plan);
        let mut begun = PreparedChild::new(request, making, &self.context).await?;
        let cgroup = begun.made.cgroup.clone();
        let built = begun.build().await;
        let pid = match built {
            Ok((pid, _)) => pid,
            Err(error) => {
                remove_group(&cgroup).await?;
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
                remove_group(&cgroup).await?;
                return Err(ShimError::system(format!("opening {namespace}"))(error));
            }
        };
        let init = Init {
            cgroup: cgroup.clone(),
            namespace,
        };
        let path = init.path();
        *self.shared_processes.init() = Some(init);
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
            // A pod that is stopped ends it.
            if !matches!(task.init.state(), State::Stopped(_)) {
                task.ended(&task.init, exit);
            }
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
