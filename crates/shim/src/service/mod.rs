//! containerd's task service: the tasks of one supervisor.
//!
//! [`calls`] has containerd's calls. [`create`] has the steps of Create, and [`orphans`] ends tasks that containerd has
//! lost.

pub(crate) mod calls;
mod create;
mod orphans;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use containerd_shim::ExitSignal;

use crate::error::{Result, ShimError};
use crate::pod::namespaces::Pod;
use crate::task::Task;
use crate::task::context::TaskContext;

/// The service of one supervisor.
pub(crate) struct Service {
    /// containerd's namespace.
    namespace: String,
    /// containerd's own socket.
    address: String,
    context: TaskContext,
    over: Arc<ExitSignal>,
    tasks: Mutex<HashMap<String, Entry>>,
    pod: Mutex<Option<Pod>>,
}

enum Entry {
    /// It is being made.
    Coming,
    There(Arc<Task>),
}

impl Service {
    pub(crate) fn new(
        namespace: String,
        address: String,
        context: TaskContext,
        over: Arc<ExitSignal>,
    ) -> Self {
        Self {
            namespace,
            address,
            context,
            over,
            tasks: Mutex::default(),
            pod: Mutex::default(),
        }
    }

    /// Whether there is no task, and none is being made.
    pub(crate) fn is_idle(&self) -> bool {
        self.tasks().is_empty()
    }

    fn tasks(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn task(&self, id: &str) -> Result<Arc<Task>> {
        match self.tasks().get(id) {
            Some(Entry::There(task)) => Ok(Arc::clone(task)),
            Some(Entry::Coming) | None => Err(ShimError::NotFound(format!("no task {id}"))),
        }
    }

    /// What the sandbox said, if there is one.
    fn pod(&self) -> MutexGuard<'_, Option<Pod>> {
        self.pod.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
