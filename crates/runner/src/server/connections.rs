//! Registry of open connections: limits their number and sends orders to all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::watch::{Order, Watch};

#[derive(Debug)]
pub(super) struct Connections {
    open: Mutex<Open>,
    most: usize,
    /// Notifies when a connection has closed.
    closed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    watches: HashMap<u64, Arc<Watch>>,
    /// Connections ever opened, which is also the next one's key.
    opened: u64,
    /// The order to all connections, including later ones.
    order: Order,
}

/// An open connection in the registry, until dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    connections: Arc<Connections>,
    key: u64,
    watch: Arc<Watch>,
}

impl Connections {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            most,
            closed: Notify::new(),
        })
    }

    /// Waits until another connection may be open. At the limit, asks connections without a request
    /// in progress to close.
    pub(super) async fn room(&self) {
        loop {
            let closed = self.closed.notified();
            {
                let open = self.open();
                if open.watches.len() < self.most {
                    return;
                }
                let idle = open.watches.values().filter(|watch| watch.is_idle());
                idle.for_each(|watch| watch.order(Order::Drain));
            }
            closed.await;
        }
    }

    /// Registers a connection.
    pub(super) fn enter(self: &Arc<Self>) -> ConnectionSlot {
        let mut open = self.open();
        let key = open.opened;
        open.opened += 1;
        let watch = Arc::new(Watch::new(open.order));
        open.watches.insert(key, Arc::clone(&watch));
        ConnectionSlot {
            connections: Arc::clone(self),
            key,
            watch,
        }
    }

    /// Sends an order to all connections, open and later ones. Returns the number of open ones.
    pub(super) fn order(&self, order: Order) -> usize {
        let mut open = self.open();
        open.order = open.order.max(order);
        open.watches.values().for_each(|watch| watch.order(order));
        open.watches.len()
    }

    /// Waits until no connection is open.
    pub(super) async fn all_closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.open().watches.is_empty() {
                return;
            }
            closed.await;
        }
    }

    pub(super) fn opened(&self) -> u64 {
        self.open().opened
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // No code panics between lock and unlock.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionSlot {
    pub(super) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.connections.open().watches.remove(&self.key);
        self.connections.closed.notify_waiters();
    }
}
