//! The queue of functions to reconcile, which watches and reports of pools feed.

use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;

use crate::watched::WatchedFunction;

/// Feeds the queue. It does not keep the queue open: that ends with the watches.
#[derive(Clone)]
pub(crate) struct Touched(mpsc::WeakSender<ObjectRef<WatchedFunction>>);

impl Touched {
    pub(crate) fn new(queue: &mpsc::Sender<ObjectRef<WatchedFunction>>) -> Self {
        Self(queue.downgrade())
    }

    /// Adds functions of a namespace. Waits while the queue is full.
    pub(crate) async fn functions(&self, namespace: &str, names: impl IntoIterator<Item = String>) {
        for name in names {
            // Without a queue the operator is ending.
            let Some(queue) = self.0.upgrade() else {
                return;
            };
            let function = ObjectRef::new(&name).within(namespace);
            if queue.send(function).await.is_err() {
                return;
            }
        }
    }
}
