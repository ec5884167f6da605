//! Registry of open connections: limits their number and sends orders to all of them, or to those
//! of one group.
//!
//! A group is the connections of one listener, or of all listeners that stop together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Turns, Notify};

use super::watch::{Order, Watch};

/// The connections of all groups.
#[derive(Debug)]
pub(super) struct Connections {
    open: Mutex<Open>,
    most: usize,
    /// Notifies when a connection has closed.
    closed: Notify,
    /// The first of the connections that wait for room holds it. Only that one looks for idle
    /// connections, however many listeners wait.
    turn: Turns<()>,
}

#[derive(Debug, Default)]
struct Open {
    watches: HashMap<u64, Arc<Watch>>,
    /// Connections ever opened, which is also the next one's key.
    opened: u64,
    /// The order to all connections, including later ones.
    order: Order,
}

/// The connections of one group.
#[derive(Debug)]
pub(super) struct Group {
    connections: Arc<Connections>,
    members: Mutex<Members>,
    /// Notifies when a connection of this group has closed.
    closed: Notify,
}

#[derive(Debug, Default)]
struct Members {
    watches: HashMap<u64, Arc<Watch>>,
    /// The order to all connections of this group, including later ones.
    order: Order,
}

/// An open connection in the registry, until dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    group: Arc<Group>,
    key: u64,
    watch: Arc<Watch>,
}

impl Connections {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            most,
            closed: Notify::new(),
            turn: Turns::default(),
        })
    }

    /// Makes a group without connections.
    pub(super) fn group(self: &Arc<Self>) -> Arc<Group> {
        Arc::new(Group {
            connections: Arc::clone(self),
            members: Mutex::default(),
            closed: Notify::new(),
        })
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

impl Group {
    /// Waits until another connection may be open, and registers it. At the limit, asks
    /// connections without a request in progress to close.
    pub(super) async fn enter(self: &Arc<Self>) -> ConnectionSlot {
        let connections = &self.connections;
        let _turn = connections.turn.lock().await;
        loop {
            let closed = connections.closed.notified();
            {
                let open = connections.open();
                if open.watches.len() < connections.most {
                    break;
                }
                let idle = open.watches.values().filter(|watch| watch.is_idle());
                idle.for_each(|watch| watch.order(Order::Drain));
            }
            closed.await;
        }
        self.enter_beyond_limit()
    }

    /// Registers a connection that cannot wait for room.
    pub(super) fn enter_beyond_limit(self: &Arc<Self>) -> ConnectionSlot {
        let mut open = self.connections.open();
        let key = open.opened;
        open.opened += 1;
        let watch = Arc::new(Watch::new(open.order));
        open.watches.insert(key, Arc::clone(&watch));
        drop(open);
        let mut members = self.members();
        watch.order(members.order);
        members.watches.insert(key, Arc::clone(&watch));
        drop(members);
        ConnectionSlot {
            group: Arc::clone(self),
            key,
            watch,
        }
    }

    /// Sends an order to the connections of this group, open and later ones. Returns the number of
    /// open ones.
    pub(super) fn order(&self, order: Order) -> usize {
        let mut members = self.members();
        members.order = members.order.max(order);
        members
            .watches
            .values()
            .for_each(|watch| watch.order(order));
        members.watches.len()
    }

    /// Waits until no connection of this group is open.
    pub(super) async fn all_closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.members().watches.is_empty() {
                return;
            }
            closed.await;
        }
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionSlot {
    pub(super) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.group.members().watches.remove(&self.key);
        self.group.closed.notify_waiters();
        let connections = &self.group.connections;
        connections.open().watches.remove(&self.key);
        connections.closed.notify_waiters();
    }
}
