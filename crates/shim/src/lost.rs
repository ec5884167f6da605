//! Tasks that nobody knows of: they keep no supervisor alive.

use std::sync::Arc;

use crate::service::{Entry, Service};

/// What every bundle has as long as somebody knows of it.
const CONFIG: &str = "config.json";

impl Service {
    /// Forgets tasks that nobody will ask for any more. When containerd is ended while a task is made, the next one
    /// does not find it, removes its bundle, and never learns that it was made after all.
    pub(crate) async fn forget_lost(&self) {
        let mut lost = Vec::new();
        self.tasks().retain(|_, entry| match entry {
            Entry::There(task) if !task.bundle.join(CONFIG).exists() => {
                lost.push(Arc::clone(task));
                false
            }
            _ => true,
        });
        for task in lost {
            tracing::warn!(task = task.id, "nobody knows of a task; it is taken apart");
            if let Err(error) = task.take_apart().await {
                tracing::warn!(task = task.id, %error, "not all of a task could be taken apart");
            }
        }
    }
}
