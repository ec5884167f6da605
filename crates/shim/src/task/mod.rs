//! A task: a sandbox, which is only a state until its containers share a process namespace, or a container with its
//! processes.
//!
//! This file has a task's data. The files below have what happens to it, in the order of its life: [`create`], [`start`],
//! [`exec`] for programs that are added, [`group`] for what is asked of its control group, and [`end`]. [`sandbox`] has
//! what only a pod's sandbox does, and [`state`] the states of each process.

pub(crate) mod context;
mod create;
mod end;
pub(crate) mod events;
mod exec;
mod group;
mod process;
mod sandbox;
mod signal;
mod start;
pub(crate) mod state;
mod terminal;
mod type_url;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::context::TaskContext;
use self::process::Process;
use crate::cgroup::Cgroup;
use crate::container::Container;
use crate::control::messages::Workload;
use crate::error::{Result, ShimError};
use crate::pod::shared_processes::SharedProcesses;

/// A task.
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) bundle: PathBuf,
    pub(crate) init: Arc<Process>,
    kind: Kind,
    execs: Mutex<HashMap<String, Arc<Exec>>>,
    context: TaskContext,
}

/// What a task is.
enum Kind {
    Sandbox(SharedProcesses),
    Container(Container),
}

/// A program that is run in a container beside its first process.
struct Exec {
    process: Arc<Process>,
    specification: serde_json::Value,
}

impl Task {
    fn new(id: &str, bundle: &Path, init: Process, kind: Kind, context: TaskContext) -> Self {
        Self {
            id: id.to_owned(),
            bundle: bundle.to_owned(),
            init: Arc::new(init),
            kind,
            execs: Mutex::default(),
            context,
        }
    }

    fn is_sandbox(&self) -> bool {
        matches!(self.kind, Kind::Sandbox(_))
    }

    /// The container; `None` for a sandbox.
    fn container(&self) -> Option<&Container> {
        match &self.kind {
            Kind::Sandbox(_) => None,
            Kind::Container(container) => Some(container),
        }
    }

    /// Its control group; `None` for a sandbox.
    pub(crate) fn cgroup(&self) -> Option<&Cgroup> {
        self.container().map(|container| &container.cgroup)
    }

    fn workload(&self) -> Option<Workload> {
        self.container().map(|container| container.workload)
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

    fn exec(&self, exec_id: &str) -> Result<Arc<Exec>> {
        let execs = self.execs();
        execs.get(exec_id).cloned().ok_or_else(|| {
            ShimError::NotFound(format!("no process {exec_id} in the task {}", self.id))
        })
    }

    fn execs(&self) -> MutexGuard<'_, HashMap<String, Arc<Exec>>> {
        self.execs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
