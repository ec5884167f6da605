//! The namespaces whose pool must be looked at, each once.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// A set of namespaces that can be waited for. Marking one never waits.
#[derive(Default)]
pub(crate) struct PoolChanges {
    namespaces: Mutex<BTreeSet<String>>,
    notify: Notify,
}

impl PoolChanges {
    /// Adds a namespace.
    pub(crate) fn mark(&self, namespace: String) {
        let mut namespaces = self
            .namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if namespaces.insert(namespace) {
            self.notify.notify_one();
        }
    }

    /// Takes all of them, and waits while there are none.
    pub(crate) async fn take(&self) -> BTreeSet<String> {
        loop {
            let taken = std::mem::take(
                &mut *self
                    .namespaces
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            );
            if !taken.is_empty() {
                return taken;
            }
            self.notify.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PoolChanges;

    #[tokio::test]
    async fn each_namespace_is_taken_once() {
        let changes = PoolChanges::default();
        for namespace in ["b", "a", "b"] {
            changes.mark(namespace.to_owned());
        }
        let taken: Vec<String> = changes.take().await.into_iter().collect();
        assert_eq!(taken, ["a", "b"]);
        let (taken, ()) = tokio::join!(changes.take(), async {
            changes.mark("c".to_owned());
        });
        assert_eq!(taken.into_iter().collect::<Vec<_>>(), ["c"]);
    }
}
