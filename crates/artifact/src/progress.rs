//! How far a transfer is.
//!
//! Refuses to know how it is shown.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Is told how many bytes of how many have been moved. It is called often, and from any thread.
pub type Observer = Arc<dyn Fn(Progress) + Send + Sync>;

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that have been moved, or need not be.
    pub done: u64,
    /// Bytes that there are in all, as far as known.
    pub total: u64,
}

/// Counts the bytes of one part of a transfer.
#[derive(Clone)]
pub(crate) struct Meter {
    observer: Option<Observer>,
    before: u64,
    total: u64,
    count: Arc<AtomicU64>,
}

impl fmt::Debug for Meter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Meter({} of {})", self.before, self.total)
    }
}

impl Meter {
    /// Tells nobody.
    pub(crate) fn silent() -> Self {
        Self {
            observer: None,
            before: 0,
            total: 0,
            count: Arc::default(),
        }
    }

    /// Of a part that begins after `before` bytes of `total`.
    pub(crate) fn new(observer: &Observer, before: u64, total: u64) -> Self {
        Self {
            observer: Some(observer.clone()),
            before,
            total,
            count: Arc::default(),
        }
    }

    /// Another attempt begins.
    pub(crate) fn restart(&self) {
        self.count.store(0, Ordering::Relaxed);
        self.tell(0);
    }

    /// So many bytes more have been moved.
    pub(crate) fn add(&self, bytes: u64) {
        let before = self.count.fetch_add(bytes, Ordering::Relaxed);
        self.tell(before + bytes);
    }

    fn tell(&self, count: u64) {
        if let Some(observer) = &self.observer {
            observer(Progress {
                done: self.before + count,
                total: self.total,
            });
        }
    }
}
