//! What the parts of one connection tell each other: the socket and the requests note what happens,
//! the watchdog looks at it, the server gives orders.
//!
//! All of it is a handful of atomics, because the first two happen with every request. Nothing here
//! reads a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use futures_util::task::AtomicWaker;

/// What the server wants of a connection. Later orders are stricter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    #[default]
    Serve,
    /// Finish what is in progress and close.
    Drain,
    /// Close at once.
    Cut,
}

#[derive(Debug)]
pub(super) struct Watch {
    /// A head is being waited for: nothing has arrived yet on a new connection, or part of one has.
    partial: AtomicBool,
    /// Heads and, on HTTP/2, frames that arrived in full: tells one wait for a head from the next.
    heads: AtomicU64,
    /// Requests in progress, until their answers' bodies are dropped.
    busy: AtomicU32,
    /// Requests ever begun.
    calls: AtomicU64,
    /// The kernel takes no more bytes to send.
    blocked: AtomicBool,
    /// Bytes that the kernel took to send.
    written: AtomicU64,
    /// A request's body was not read to its end, so that the client may still be sending it.
    unread: AtomicBool,
    /// Everything is sent, and the client's end of the connection is waited for.
    lingering: AtomicBool,
    /// The client sends more that is not requests than any client needs to.
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
            lingering: AtomicBool::new(false),
            flooded: AtomicBool::new(false),
            order: AtomicU8::new(order as u8),
            waker: AtomicWaker::new(),
        }
    }

    /// A request begins; it lasts until the returned guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Relaxed);
        // The connection's own task is the only writer of these.
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

    /// Nothing in progress, and nothing begun.
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

    /// Gives an order; a weaker one than before changes nothing.
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

    /// Who is to be woken by an order.
    pub(super) fn register(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }
}

/// A request in progress.
#[derive(Debug)]
pub(super) struct Busy(Arc<Watch>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Relaxed);
    }
}
