//! Epoch ticker: one thread that advances the epoch of each wasmtime engine while a guest may run.
//!
//! It interrupts running guests only; the asynchronous runtime times waiting ones. The thread is
//! parked after a while without calls, so that an idle process uses no processor time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// The interval of epochs. A guest that never waits overruns its deadline by at most this, and lets
/// other requests run after this.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// The interval at which idle instances and modules are swept.
const SWEEP: Duration = Duration::from_secs(1);

/// Ticks without an active call before the thread is parked.
const TICKS_UNTIL_PARKED: u32 = 200;

/// The work of the thread.
pub(super) trait Work: Send + 'static {
    /// Advances the epochs.
    fn tick(&self);
    /// Drops what is idle. Returns whether a later sweep may drop more.
    fn sweep(&self) -> bool;
}

pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    handle: Thread,
}

struct Shared {
    active: AtomicUsize,
    /// Counts calls begun, so that many short calls between two ticks still count as activity.
    begun: AtomicU64,
    parked: AtomicBool,
    stopping: AtomicBool,
}

/// Held while a guest may run. The ticker ticks while one exists.
pub(crate) struct Active {
    shared: Arc<Shared>,
}

impl Ticker {
    /// Starts the thread, which ticks every [`TICK`] while calls are active.
    ///
    /// # Errors
    ///
    /// When the operating system refuses another thread.
    pub(super) fn start(work: impl Work) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            active: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            parked: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        });
        let thread = thread::Builder::new().name("sampan-ticker".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.run(&work)
        })?;
        let handle = thread.thread().clone();
        Ok(Self {
            shared,
            thread: Some(thread),
            handle,
        })
    }

    /// Makes the thread sweep soon, even if it is parked.
    pub(super) fn wake(&self) {
        self.handle.unpark();
    }

    /// Marks a call as active until the guard is dropped.
    pub(super) fn activate(&self) -> Active {
        // Sequential consistency pairs this increment with the thread's store of `parked`: either
        // the thread sees the call, or the call sees that the thread is parked.
        self.shared.active.fetch_add(1, Ordering::SeqCst);
        self.shared.begun.fetch_add(1, Ordering::Relaxed);
        if self.shared.parked.load(Ordering::SeqCst) {
            self.handle.unpark();
        }
        Active {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Shared {
    fn run(&self, work: &impl Work) {
        let mut begun = 0;
        let mut idle = 0;
        let mut swept = Instant::now();
        while !self.stopping.load(Ordering::Acquire) {
            thread::sleep(TICK);
            work.tick();
            if swept.elapsed() >= SWEEP {
                work.sweep();
                swept = Instant::now();
            }
            let now = self.begun.load(Ordering::Relaxed);
            if self.active.load(Ordering::Relaxed) > 0 || now != begun {
                begun = now;
                idle = 0;
                continue;
            }
            idle += 1;
            if idle >= TICKS_UNTIL_PARKED {
                self.park(work);
                idle = 0;
            }
        }
    }

    fn park(&self, work: &impl Work) {
        self.parked.store(true, Ordering::SeqCst);
        while self.active.load(Ordering::SeqCst) == 0 && !self.stopping.load(Ordering::Acquire) {
            if work.sweep() {
                thread::park_timeout(SWEEP);
            } else {
                thread::park();
            }
        }
        self.parked.store(false, Ordering::SeqCst);
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.shared.active.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.handle.unpark();
        let Some(thread) = self.thread.take() else {
            return;
        };
        // A sweep may drop the last function of an engine, and with it the ticker. No thread can wait
        // for itself; this one ends after the sweep.
        let is_own = thread.thread().id() == thread::current().id();
        if !is_own && thread.join().is_err() {
            tracing::error!("the epoch ticker panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{RecvTimeoutError, Sender, channel};

    use super::*;

    /// Drops a ticker in its sweep.
    struct Last {
        ticker: Arc<Mutex<Option<Ticker>>>,
        dropped: Sender<()>,
    }

    impl Work for Last {
        fn tick(&self) {}

        fn sweep(&self) -> bool {
            let ticker = self.ticker.lock().expect("not poisoned").take();
            if ticker.is_some() {
                drop(ticker);
                self.dropped.send(()).expect("the test waits");
            }
            true
        }
    }

    #[test]
    fn a_sweep_may_drop_the_ticker() {
        let (dropped, said) = channel();
        let slot = Arc::new(Mutex::new(None));
        let work = Last {
            ticker: Arc::clone(&slot),
            dropped,
        };
        let ticker = Ticker::start(work).expect("a thread");
        *slot.lock().expect("not poisoned") = Some(ticker);
        let wait = Duration::from_mins(1);
        assert_eq!(said.recv_timeout(wait), Ok(()));
        // The work goes with the thread, and its end of the channel with the work.
        assert_eq!(said.recv_timeout(wait), Err(RecvTimeoutError::Disconnected));
    }
}
