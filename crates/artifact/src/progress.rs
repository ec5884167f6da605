//! Progress of a transfer, independent of its display.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Receives the progress in bytes. It is called often, and from any thread.
pub type Observer = Arc<dyn Fn(Progress) + Send + Sync>;

/// The progress of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that were transferred or need not be.
    pub done: u64,
    /// The total number of bytes, as far as known.
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
    /// Makes a meter without an observer.
    pub(crate) fn silent() -> Self {
        Self {
            observer: None,
            before: 0,
            total: 0,
            count: Arc::default(),
        }
    }

    /// Makes a meter for a part that begins after `before` of `total` bytes.
    pub(crate) fn new(observer: &Observer, before: u64, total: u64) -> Self {
        Self {
            observer: Some(observer.clone()),
            before,
            total,
            count: Arc::default(),
        }
    }

    /// Starts another attempt.
    pub(crate) fn restart(&self) {
        self.count.store(0, Ordering::Relaxed);
        self.report(0);
    }

    /// Adds transferred bytes.
    pub(crate) fn add(&self, bytes: u64) {
        let before = self.count.fetch_add(bytes, Ordering::Relaxed);
        self.report(before + bytes);
    }

    fn report(&self, count: u64) {
        if let Some(observer) = &self.observer {
            observer(Progress {
                done: self.before + count,
                total: self.total,
            });
        }
    }
}
