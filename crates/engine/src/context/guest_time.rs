//! Measures the processor time of guests, by the clock of the thread that polls them.
//!
//! A reading of that clock is a system call, so a thread makes one in [`READING_INTERVAL`] at most. The monotonic clock
//! decides whether one is due, and measures shorter polls by itself. What the operating system takes away from a longer
//! poll is not counted.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The shortest time between two readings, and the shortest poll that they measure.
const READING_INTERVAL: Duration = Duration::from_micros(100);

thread_local! {
    static LAST: Cell<Option<Reading>> = const { Cell::new(None) };
}

/// A reading of a thread's clock.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    /// The processor time of the thread.
    processor: Duration,
    /// What was counted by the monotonic clock since.
    counted: Duration,
}

/// Prepares this thread to measure a poll that begins.
pub(crate) fn begin(now: Instant) {
    LAST.set(Some(before_poll(LAST.get(), now, processor_time)));
}

/// The processor time of the poll that has begun at `began` and ends now, on this thread.
pub(crate) fn end(began: Instant, now: Instant) -> Duration {
    let (spent, last) = after_poll(LAST.get(), began, now, processor_time);
    LAST.set(last);
    spent
}

fn before_poll(
    last: Option<Reading>,
    now: Instant,
    processor_time: impl FnOnce() -> Duration,
) -> Reading {
    match last {
        Some(last) if now.saturating_duration_since(last.at) < READING_INTERVAL => last,
        _ => Reading {
            at: now,
            processor: processor_time(),
            counted: Duration::ZERO,
        },
    }
}

fn after_poll(
    last: Option<Reading>,
    began: Instant,
    now: Instant,
    processor_time: impl FnOnce() -> Duration,
) -> (Duration, Option<Reading>) {
    let took = now.saturating_duration_since(began);
    // Without a reading, the poll has begun on another thread: a caller has mixed up its polls.
    let Some(mut last) = last else {
        return (took, None);
    };
    if took < READING_INTERVAL {
        last.counted += took;
        return (took, Some(last));
    }
    let processor = processor_time();
    let since = processor.saturating_sub(last.processor);
    // Between the reading and the poll there was other work, for less than an interval.
    let spent = since.saturating_sub(last.counted).min(took);
    let last = Reading {
        at: now,
        processor,
        counted: Duration::ZERO,
    };
    (spent, Some(last))
}

/// The processor time of this thread.
fn processor_time() -> Duration {
    time_of(ClockId::ThreadCPUTime)
}

/// The processor time of this process.
pub(super) fn process_time() -> Duration {
    time_of(ClockId::ProcessCPUTime)
}

fn time_of(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).expect("a processor time has no sign")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What two polls are measured to take, each with its begin, its end and the thread's processor time at its end, in
    /// microseconds since the first reading; and how often that clock was read.
    #[test]
    fn long_polls_count_processor_time_and_short_ones_cost_no_reading() {
        let started = Instant::now();
        let micros = Duration::from_micros;
        let check = |polls: [(u64, u64, u64); 2], expected: [u64; 2], readings: u32| {
            let read = Cell::new(0);
            let mut last = None;
            let spent = polls.map(|(began, ended, processor)| {
                let reading = |processor: u64| {
                    read.set(read.get() + 1);
                    micros(processor)
                };
                // A thread that waits before a poll uses no processor time meanwhile.
                let before = processor.saturating_sub(ended - began);
                let began = started + micros(began);
                let ended = started + micros(ended);
                last = Some(before_poll(last, began, || reading(before)));
                let (spent, after) = after_poll(last, began, ended, || reading(processor));
                last = after;
                spent
            });
            assert_eq!(spent, expected.map(micros), "{polls:?}");
            assert_eq!(read.get(), readings, "{polls:?}");
        };
        // Two short polls after one reading.
        check([(0, 20, 20), (30, 50, 40)], [20, 20], 1);
        // A long one ends with a reading, from which the next one begins.
        check([(0, 5000, 5000), (5010, 5030, 5030)], [5000, 20], 2);
        // Another reading is due before a poll that comes late.
        check([(0, 20, 20), (500, 520, 40)], [20, 20], 2);
        // The second one got 1 ms of 5 ms, and the first one's time is not counted twice.
        check([(0, 40, 40), (50, 5050, 1040)], [40, 1000], 2);
    }

    #[test]
    fn a_thread_that_waits_uses_no_processor_time() {
        let before = processor_time();
        let waited = Duration::from_millis(30);
        let started = Instant::now();
        while started.elapsed() < waited {
            std::thread::park_timeout(waited);
        }
        assert!(processor_time().saturating_sub(before) < waited);
    }
}
