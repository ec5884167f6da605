//! Orphaned tasks, which containerd has lost. They keep no supervisor alive.

use std::sync::Arc;

use super::{Entry, Service};

/// A file that every bundle has until containerd removes it.
const CONFIG: &str = "config.json";

impl Service {
    /// Takes orphaned tasks apart. When containerd ends while a task is made, the next containerd removes the bundle and
    /// never learns that the task was made.
    pub(crate) async fn remove_orphans(&self) {
        let mut lost = Vec::new();
        self.tasks().retain(|_, entry| match entry {
            Entry::There(task) if !task.bundle.join(CONFIG).exists() => {
                lost.push(Arc::clone(task));
                false
            }
            _ => true,
        });
        for task in lost {
            tracing::warn!(
                task = task.id,
                "containerd has lost a task; it is taken apart"
            );
            if let Err(error) = task.take_apart().await {
                tracing::warn!(task = task.id, %error, "not all of a task could be taken apart");
            }
        }
    }
}
