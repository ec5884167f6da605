//! Arrival of a function's last request, to the millisecond.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct LastRequest {
    epoch: Instant,
    /// Milliseconds since the epoch, plus one; 0 if there was no request.
    milliseconds: AtomicU64,
}

impl Default for LastRequest {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            milliseconds: AtomicU64::new(0),
        }
    }
}

impl LastRequest {
    pub(super) fn get(&self) -> Option<Instant> {
        let since = self.milliseconds.load(Relaxed).checked_sub(1)?;
        Some(self.epoch + Duration::from_millis(since))
    }

    pub(super) fn set(&self, at: Instant) {
        let since = at.saturating_duration_since(self.epoch).as_millis();
        let milliseconds = u64::try_from(since).map_or(u64::MAX, |since| since.saturating_add(1));
        // Processors that only read keep the line in their caches.
        if self.milliseconds.load(Relaxed) != milliseconds {
            self.milliseconds.store(milliseconds, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::LastRequest;

    #[test]
    fn the_last_arrival_is_kept() {
        let last = LastRequest::default();
        assert_eq!(last.get(), None);
        let check = |at: Instant, expected: Instant| {
            last.set(at);
            assert_eq!(last.get(), Some(expected), "{at:?}");
        };
        let (epoch, millisecond) = (last.epoch, Duration::from_millis(1));
        check(epoch, epoch);
        check(epoch + 7 * millisecond, epoch + 7 * millisecond);
        check(epoch + millisecond / 2, epoch);
    }
}
