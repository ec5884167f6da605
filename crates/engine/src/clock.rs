//! The time a call may take: wall time until its deadline, and time on a processor.
//!
//! Processor time is counted as the time spent inside polls of the guest's future. A guest never
//! leaves its thread within a poll, so this is the time on a processor plus what the operating
//! system took away meanwhile; it costs two reads of a clock a poll and no system call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::CallError;

pub(crate) struct Clock {
    started: Instant,
    deadline: Instant,
    timeout: Duration,
    processor_limit: Duration,
    /// Nanoseconds spent in polls that have ended.
    used: AtomicU64,
    /// Nanoseconds from `started` to the beginning of the poll under way.
    poll_began: AtomicU64,
}

impl Clock {
    pub(crate) fn start(timeout: Duration, processor_limit: Duration) -> Self {
        let started = Instant::now();
        Self {
            started,
            deadline: started + timeout,
            timeout,
            processor_limit,
            used: AtomicU64::new(0),
            poll_began: AtomicU64::new(0),
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(crate) fn deadline_error(&self) -> CallError {
        CallError::Deadline {
            limit: self.timeout,
        }
    }

    /// Notes that a poll of the guest begins.
    pub(crate) fn enter(&self) {
        self.poll_began.store(self.elapsed(), Ordering::Relaxed);
    }

    /// Notes that the poll has ended.
    pub(crate) fn leave(&self) {
        let spent = self
            .elapsed()
            .saturating_sub(self.poll_began.load(Ordering::Relaxed));
        self.used.fetch_add(spent, Ordering::Relaxed);
    }

    /// The limit that a guest which is running now has passed, if any.
    pub(crate) fn check_running(&self) -> Result<(), CallError> {
        let now = self.elapsed();
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

    fn elapsed(&self) -> u64 {
        // 584 years of nanoseconds fit: a request does not last that long.
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
