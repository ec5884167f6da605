//! Time limits of one call: a wall-clock deadline and processor time.
//!
//! Processor time is the time inside polls of the guest's future. A guest never leaves its thread
//! within a poll. The count therefore includes time that the operating system took away meanwhile.
//! It costs two clock reads for each poll and no system call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::CallError;

pub(crate) struct Clock {
    started: Instant,
    deadline: Instant,
    timeout: Duration,
    processor_limit: Duration,
    /// Nanoseconds spent in completed polls.
    used: AtomicU64,
    /// Nanoseconds from `started` to the start of the current poll.
    poll_began: AtomicU64,
}

impl Clock {
    /// Starts at the arrival of the request, or now.
    pub(super) fn start(
        arrived: Option<Instant>,
        timeout: Duration,
        processor_limit: Duration,
    ) -> Self {
        let started = arrived.unwrap_or_else(Instant::now);
        Self {
            started,
            deadline: started + timeout,
            timeout,
            processor_limit,
            used: AtomicU64::new(0),
            poll_began: AtomicU64::new(0),
        }
    }

    /// The time since the arrival of the request.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(super) fn deadline_error(&self) -> CallError {
        CallError::Deadline {
            limit: self.timeout,
        }
    }

    /// Starts to count a poll of the guest.
    pub(crate) fn enter(&self, now: Instant) {
        self.poll_began.store(self.until(now), Ordering::Relaxed);
    }

    /// Ends the count of the poll.
    pub(crate) fn leave(&self, now: Instant) {
        let spent = self
            .until(now)
            .saturating_sub(self.poll_began.load(Ordering::Relaxed));
        self.used.fetch_add(spent, Ordering::Relaxed);
    }

    /// Checks a running guest against both limits.
    pub(crate) fn check_running(&self) -> Result<(), CallError> {
        let now = self.until(Instant::now());
        let polling = now.saturating_sub(self.poll_began.load(Ordering::Relaxed));
        let used = Duration::from_nanos(self.used.load(Ordering::Relaxed) + polling);
        if used > self.processor_limit {
            return Err(CallError::ProcessorTime {
                limit: self.processor_limit,
            });
        }
        if Duration::from_nanos(now) > self.timeout {
            return Err(self.deadline_error());
        }
        Ok(())
    }

    fn until(&self, now: Instant) -> u64 {
        // 584 years of nanoseconds fit, more than any request lasts.
        let elapsed = now.saturating_duration_since(self.started);
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    }
}
