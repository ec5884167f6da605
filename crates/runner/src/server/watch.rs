//! Shared state of one connection, for its socket, its requests, its watchdog and the server.
//!
//! The socket and the requests record events, the watchdog reads them, and the server sets orders.
//! All fields are atomics, because every request updates them. This module reads no clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use futures_util::task::AtomicWaker;

/// The server's order to a connection. Later variants are stricter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    #[default]
    Serve,
    /// Finish requests in progress and close.
    Drain,
    /// Close at once.
    Cut,
}

#[derive(Debug)]
pub(super) struct Watch {
    /// A head is incomplete: no byte has arrived on a new connection, or only part of a head has.
    partial: AtomicBool,
    /// Heads and, on HTTP/2, frames that arrived in full. Distinguishes one wait for a head from
    /// the next.
    heads: AtomicU64,
    /// Requests in progress, until their responses' bodies are dropped and their own bodies were read
    /// to the end or dropped.
    busy: AtomicU32,
    /// Requests ever begun.
    calls: AtomicU64,
    /// The kernel's send buffer is full.
    blocked: AtomicBool,
    /// Bytes that the kernel accepted for sending.
    written: AtomicU64,
    /// A request's body was not read to its end, so the client may still be sending it.
    unread: AtomicBool,
    /// The client has closed its sending side, and its request is still in progress.
    half_closed: AtomicBool,
    /// Everything is sent, and the client has not closed yet.
    lingering: AtomicBool,
    /// The client sends more non-request frames than any client needs to.
    flooded: AtomicBool,
    order: AtomicU8,
    waker: AtomicWaker,
}

impl Watch {
    pub(super) fn new(order: Order) -> Self {
        Self {
            partial: AtomicBool::new(true),
            heads: AtomicU64::new(0),
            busy: AtomicU32::new(0),
            calls: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            written: AtomicU64::new(0),
            unread: AtomicBool::new(false),
            half_closed: AtomicBool::new(false),
            lingering: AtomicBool::new(false),
            flooded: AtomicBool::new(false),
            order: AtomicU8::new(order as u8),
            waker: AtomicWaker::new(),
        }
    }

    /// Starts a request, which lasts until the returned guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Relaxed);
        // Only the connection's own task writes these.
        self.calls.store(self.calls() + 1, Relaxed);
        self.unread.store(false, Relaxed);
        self.head_arrived();
        Busy(Arc::clone(self))
    }

    pub(super) fn head_begun(&self) {
        self.partial.store(true, Relaxed);
    }

    pub(super) fn head_arrived(&self) {
        self.partial.store(false, Relaxed);
        self.heads.store(self.heads() + 1, Relaxed);
    }

    pub(super) fn is_partial(&self) -> bool {
        self.partial.load(Relaxed)
    }

    pub(super) fn heads(&self) -> u64 {
        self.heads.load(Relaxed)
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Relaxed) > 0
    }

    /// Whether no request is in progress and no head is incomplete.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_busy() && !self.is_partial()
    }

    pub(super) fn wrote(&self, bytes: usize) {
        self.blocked.store(false, Relaxed);
        self.written.store(self.written() + bytes as u64, Relaxed);
    }

    pub(super) fn block(&self) {
        self.blocked.store(true, Relaxed);
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    pub(super) fn leave_unread(&self) {
        self.unread.store(true, Relaxed);
    }

    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    pub(super) fn half_close(&self) {
        self.half_closed.store(true, Relaxed);
    }

    pub(super) fn is_half_closed(&self) -> bool {
        self.half_closed.load(Relaxed)
    }

    pub(super) fn linger(&self) {
        self.lingering.store(true, Relaxed);
    }

    pub(super) fn is_lingering(&self) -> bool {
        self.lingering.load(Relaxed)
    }

    pub(super) fn flood(&self) {
        self.flooded.store(true, Relaxed);
    }

    pub(super) fn is_flooded(&self) -> bool {
        self.flooded.load(Relaxed)
    }

    /// Sets an order. Ignores an order that is weaker than the current one.
    pub(super) fn order(&self, order: Order) {
        // `AtomicWaker` orders this store before the woken task's load.
        if self.order.fetch_max(order as u8, Relaxed) < order as u8 {
            self.waker.wake();
        }
    }

    pub(super) fn ordered(&self) -> Order {
        match self.order.load(Relaxed) {
            0 => Order::Serve,
            1 => Order::Drain,
            _ => Order::Cut,
        }
    }

    /// Registers the task to wake on an order.
    pub(super) fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }
}

/// A request in progress, until all clones are dropped.
#[derive(Debug)]
pub(super) struct Busy(Arc<Watch>);

impl Clone for Busy {
    fn clone(&self) -> Self {
        self.0.busy.fetch_add(1, Relaxed);
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Relaxed);
    }
}
