//! Cap on the processor time of a function: a token bucket of guest time.
//!
//! The bucket fills at the rate of the cap, and holds what a burst may use. A poll is charged at its end, so the bucket
//! may get below zero; the function then waits until it is above zero again. Over time, the cap holds exactly.

use std::time::{Duration, Instant};

/// How long a function that was idle may use a whole processor for each one of its cap.
const BURST: Duration = Duration::from_millis(100);

const NANOS_OF_SECOND: u128 = 1_000_000_000;

/// The bucket.
#[derive(Debug)]
pub(super) struct ProcessorCap {
    /// Thousandths of a processor; at least one.
    rate: u32,
    /// Nanoseconds of guest time, times 1000.
    tokens: i128,
    filled: Instant,
}

impl ProcessorCap {
    /// A full bucket for so many thousandths of a processor.
    pub(super) fn new(millis: u32, now: Instant) -> Self {
        let rate = millis.max(1);
        let mut cap = Self {
            rate,
            tokens: 0,
            filled: now,
        };
        cap.tokens = cap.earned(BURST);
        cap
    }

    /// Changes the rate from now on. What was used counts on, so this is no new burst.
    pub(super) fn set_rate(&mut self, millis: u32, now: Instant) {
        self.fill(now);
        self.rate = millis.max(1);
        self.tokens = self.tokens.min(self.earned(BURST));
    }

    /// Charges a poll.
    pub(super) fn charge(&mut self, spent: Duration, now: Instant) {
        self.fill(now);
        let spent = i128::try_from(spent.as_nanos()).unwrap_or(i128::MAX);
        self.tokens = self.tokens.saturating_sub(spent.saturating_mul(1000));
    }

    /// How long the function has to wait; `None` if it may run.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Duration> {
        self.fill(now);
        let debt = u128::try_from(-self.tokens).ok()?;
        let nanos = debt / u128::from(self.rate) + 1;
        let seconds = u64::try_from(nanos / NANOS_OF_SECOND).unwrap_or(u64::MAX);
        let rest = u32::try_from(nanos % NANOS_OF_SECOND).unwrap_or_default();
        Some(Duration::new(seconds, rest))
    }

    fn fill(&mut self, now: Instant) {
        let earned = self.earned(now.saturating_duration_since(self.filled));
        self.filled = self.filled.max(now);
        let most = self.earned(BURST);
        self.tokens = self.tokens.saturating_add(earned).min(most);
    }

    fn earned(&self, time: Duration) -> i128 {
        let nanos = i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
        nanos.saturating_mul(self.rate.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a function may use in so many milliseconds that always wants a processor.
    fn used(millis: u32, milliseconds: u64) -> Duration {
        let started = Instant::now();
        let (mut cap, mut now) = (ProcessorCap::new(millis, started), started);
        let (tick, mut used) = (Duration::from_millis(5), Duration::ZERO);
        while now < started + Duration::from_millis(milliseconds) {
            if let Some(wait) = cap.wait(now) {
                now += wait;
            } else {
                now += tick;
                used += tick;
                cap.charge(tick, now);
            }
        }
        used
    }

    #[test]
    fn a_function_gets_its_cap_over_time() {
        let check = |millis: u32, expected: u64| {
            let found = used(millis, 10_000).as_millis();
            let expected = u128::from(expected);
            assert!(
                found.abs_diff(expected) <= expected / 20 + 10,
                "{millis}: {found} ms, not {expected} ms"
            );
        };
        check(100, 1000);
        check(500, 5000);
        check(1000, 10_000);
        check(4000, 10_000);
    }

    #[test]
    fn a_new_rate_is_no_new_burst() {
        let now = Instant::now();
        let mut cap = ProcessorCap::new(500, now);
        cap.charge(Duration::from_millis(60), now);
        cap.set_rate(1000, now);
        assert_eq!(cap.wait(now).map(|wait| wait.as_millis()), Some(10));
        let later = now + Duration::from_hours(1);
        cap.set_rate(100, later);
        cap.charge(Duration::from_millis(20), later);
        assert_eq!(cap.wait(later).map(|wait| wait.as_millis()), Some(100));
    }

    #[test]
    fn idleness_earns_no_more_than_a_burst() {
        let started = Instant::now();
        let mut cap = ProcessorCap::new(500, started);
        let later = started + Duration::from_hours(1);
        assert_eq!(cap.wait(later), None);
        cap.charge(Duration::from_millis(60), later);
        let wait = cap.wait(later).expect("it is in debt");
        assert_eq!(wait.as_millis(), 20);
        assert_eq!(cap.wait(later + wait), None);
    }
}
