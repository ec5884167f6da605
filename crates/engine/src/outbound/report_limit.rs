//! Limit on the rate of reports about one function's outbound calls.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time in which reports are counted.
const WINDOW: Duration = Duration::from_secs(10);

/// The most reports in that time.
const MAX_REPORTS: u32 = 10;

/// Decides which events are reported.
#[derive(Debug, Default)]
pub(crate) struct ReportLimit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When the current window began.
    began: Option<Instant>,
    /// Reports in it.
    reports: u32,
    /// Events since the last report.
    left_out: u64,
}

impl ReportLimit {
    /// Whether to report an event: the number of earlier events that were left out, or `None` to
    /// leave this one out as well.
    pub(crate) fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |began: Instant| now.saturating_duration_since(began) >= WINDOW;
        if state.began.is_none_or(is_over) {
            state.began = Some(now);
            state.reports = 0;
        }
        if state.reports == MAX_REPORTS {
            state.left_out += 1;
            return None;
        }
        state.reports += 1;
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_beyond_the_limit_are_counted_and_told_of_later() {
        let limit = ReportLimit::default();
        let start = Instant::now();
        let at = |seconds| limit.admit(start + Duration::from_secs(seconds));
        for _ in 0..MAX_REPORTS {
            assert_eq!(at(0), Some(0));
        }
        assert_eq!(at(0), None);
        assert_eq!(at(9), None);
        assert_eq!(at(10), Some(2));
        assert_eq!(at(11), Some(0));
        assert_eq!(at(100), Some(0));
    }
}
