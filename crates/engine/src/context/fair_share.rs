//! Fair share of the processors of a process among its functions, for an engine with [`crate::SharedProcessors`].
//!
//! While processors are free, a poll of a guest costs one atomic load here. The ticker turns the [`FairQueue`] on when
//! guests run for long, or when the process uses most of its processors, and off a second after the last sign of that.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use sampan_spec::ProcessorShare;

use super::fair_queue::{Claim, FairQueue, FunctionId, Member, Slots, Ticket};
use super::guest_time::process_time;
use super::processor_cap::ProcessorCap;
use crate::compile::config::SharedProcessors;

/// A poll of this length shows that a guest computes, and keeps a thread from its other tasks.
pub(super) const LONG_POLL: Duration = Duration::from_millis(2);

/// The share of all processors, in hundredths, from which on guests may have to wait.
const SATURATED: u128 = 75;

/// How long the queue stays on after the last sign of saturation.
const HYSTERESIS: Duration = Duration::from_secs(1);

/// The functions of an engine and their order.
pub(crate) struct FairShare {
    is_on: AtomicBool,
    queue: Mutex<FairQueue<Waker>>,
    next_id: AtomicU64,
    long_polls: AtomicUsize,
    load: Mutex<Load>,
    processors: u32,
}

/// What the ticker has seen.
struct Load {
    at: Instant,
    processor: Duration,
    /// The last sign of saturation.
    saturated: Option<Instant>,
}

/// A function's share.
pub(crate) struct FunctionShare {
    fair: Arc<FairShare>,
    id: FunctionId,
    weight: AtomicU64,
    is_capped: AtomicBool,
    /// Stays when the cap is taken away, so that a cap that comes back is no new burst.
    cap: Mutex<Option<ProcessorCap>>,
}

impl FairShare {
    pub(super) fn new(shared: SharedProcessors) -> Arc<Self> {
        let SharedProcessors {
            processors,
            threads,
        } = shared;
        // One thread stays free to accept requests.
        let all = threads.saturating_sub(1).max(1);
        let slots = Slots {
            common: processors.clamp(1, all),
            all,
        };
        Arc::new(Self {
            is_on: AtomicBool::new(false),
            queue: Mutex::new(FairQueue::new(slots)),
            next_id: AtomicU64::new(0),
            long_polls: AtomicUsize::new(0),
            load: Mutex::new(Load {
                at: Instant::now(),
                processor: process_time(),
                saturated: None,
            }),
            processors: u32::try_from(processors).unwrap_or(u32::MAX),
        })
    }

    /// The share of another function.
    pub(super) fn join(fair: &Arc<Self>, share: &ProcessorShare) -> Arc<FunctionShare> {
        let joined = FunctionShare {
            id: fair.next_id.fetch_add(1, Ordering::Relaxed),
            weight: AtomicU64::default(),
            is_capped: AtomicBool::default(),
            cap: Mutex::default(),
            fair: Arc::clone(fair),
        };
        joined.set(share);
        Arc::new(joined)
    }

    /// The work of the ticker: turns the queue on or off, and calls guests.
    pub(super) fn tick(&self) {
        let is_saturated = self.is_saturated(Instant::now());
        if is_saturated {
            self.is_on.store(true, Ordering::Relaxed);
        }
        if !self.is_on.load(Ordering::Relaxed) {
            return;
        }
        let mut queue = self.queue();
        let called = queue.tick();
        // A guest that waits has its ticket, and comes here also while the queue is off.
        if !is_saturated && queue.is_idle() {
            self.is_on.store(false, Ordering::Relaxed);
        }
        drop(queue);
        wake(called);
    }

    /// Whether the processors were in use lately.
    fn is_saturated(&self, now: Instant) -> bool {
        let has_long_polls = self.long_polls.swap(0, Ordering::Relaxed) > 0;
        let processor = process_time();
        let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(load.at) * self.processors;
        let used = processor.saturating_sub(load.processor);
        let is_full = used.as_nanos() * 100 >= passed.as_nanos() * SATURATED;
        (load.at, load.processor) = (now, processor);
        if has_long_polls || is_full {
            load.saturated = Some(now);
        }
        let since = load
            .saturated
            .map(|last| now.saturating_duration_since(last));
        since.is_some_and(|since| since < HYSTERESIS)
    }

    fn queue(&self) -> MutexGuard<'_, FairQueue<Waker>> {
        // No code panics between lock and unlock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FunctionShare {
    /// Sets the weight and the cap from now on. What was used counts on.
    pub(super) fn set(&self, share: &ProcessorShare) {
        self.weight.store(share.weight.into(), Ordering::Relaxed);
        if let Some(processors) = share.processors {
            let (milli, now) = (processors.milli(), Instant::now());
            match &mut *self.cap() {
                Some(cap) => cap.set_rate(milli, now),
                cap => *cap = Some(ProcessorCap::new(milli, now)),
            }
        }
        self.is_capped
            .store(share.processors.is_some(), Ordering::Relaxed);
    }

    /// How long the function has to wait because of its cap; `None` if it may run.
    pub(super) fn cap_wait(&self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        if !self.is_capped() {
            return None;
        }
        self.cap().as_mut()?.wait(now())
    }

    /// Whether a guest may have to wait.
    pub(super) fn is_limited(&self) -> bool {
        self.is_capped() || self.is_on()
    }

    /// Whether a guest needs a slot to run.
    pub(super) fn is_on(&self) -> bool {
        self.fair.is_on.load(Ordering::Relaxed)
    }

    /// Takes a slot, or waits for one, with the ticket that it returns.
    pub(super) fn take(
        &self,
        ticket: Option<Ticket>,
        is_long: bool,
        waker: &Waker,
    ) -> Option<Ticket> {
        let claim = Claim {
            member: self.member(),
            ticket,
            is_long,
        };
        let mut queue = self.fair.queue();
        let ticket = queue.take(claim, || waker.clone());
        if ticket.is_some() {
            // The ticker may have turned it off since the caller looked. It does that under this lock, and then calls no
            // guest.
            self.fair.is_on.store(true, Ordering::Relaxed);
        }
        ticket
    }

    /// Gives a slot back.
    pub(super) fn give_back(&self, spent: Duration) {
        let called = self.fair.queue().give_back(self.member(), spent);
        wake(called);
    }

    /// Ends the poll of a guest that wants to go on. Returns its ticket if it keeps its slot.
    pub(super) fn renew(&self, spent: Duration) -> Option<Ticket> {
        let (ticket, called) = self.fair.queue().renew(self.member(), spent);
        wake(called);
        ticket
    }

    /// Removes a guest that waits.
    pub(super) fn leave(&self, ticket: Ticket) {
        let called = self.fair.queue().leave(self.id, ticket);
        wake(called);
    }

    /// Counts processor time that was used without a slot.
    pub(super) fn charge(&self, spent: Duration) {
        if self.is_on() {
            self.fair.queue().charge(self.member(), spent);
        }
    }

    /// Counts a poll against the cap, and as a sign of saturation if it was long.
    pub(super) fn polled(&self, spent: Duration, took: Duration, now: Instant) {
        if took >= LONG_POLL {
            self.fair.long_polls.fetch_add(1, Ordering::Relaxed);
        }
        if self.is_capped()
            && let Some(cap) = &mut *self.cap()
        {
            cap.charge(spent, now);
        }
    }

    fn member(&self) -> Member {
        Member {
            id: self.id,
            weight: self.weight.load(Ordering::Relaxed),
        }
    }

    fn is_capped(&self) -> bool {
        self.is_capped.load(Ordering::Relaxed)
    }

    fn cap(&self) -> MutexGuard<'_, Option<ProcessorCap>> {
        // No code panics between lock and unlock.
        self.cap.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(called: Vec<Waker>) {
    called.into_iter().for_each(Waker::wake);
}
