//! Prints the progress of a run, and the estimated remaining time.

use std::time::{Duration, Instant};

use super::plan::Unit;

/// The progress of a run.
#[derive(Debug)]
pub(super) struct Progress {
    begun: Instant,
    count: usize,
    number: usize,
    /// The estimates of the remaining units, in seconds.
    left: f64,
    /// The estimates of the finished units, in seconds.
    done: f64,
}

impl Progress {
    /// The progress of `count` units, with the estimates of those that remain.
    pub(super) fn new(count: usize, estimates: impl Iterator<Item = f64> + Clone) -> Self {
        Self {
            begun: Instant::now(),
            count,
            number: count - estimates.clone().count(),
            left: estimates.sum(),
            done: 0.0,
        }
    }

    pub(super) fn begin(&mut self, unit: &Unit) {
        self.number += 1;
        let left = left(self.begun.elapsed(), self.done, self.left);
        eprintln!(
            "[{:>4}/{}] {} {} {} {}, turn {}: {} left",
            self.number,
            self.count,
            unit.experiment.number(),
            unit.experiment,
            unit.function,
            unit.kind,
            unit.turn + 1,
            shown(left)
        );
    }

    pub(super) fn end(&mut self, estimate: f64) {
        self.done += estimate;
        self.left -= estimate;
    }
}

/// The remaining time by the estimates, corrected by their error so far. In the first half minute
/// the error is not significant.
fn left(taken: Duration, done: f64, left: f64) -> Duration {
    const INSIGNIFICANT_SECONDS: f64 = 30.0;
    let factor = (taken.as_secs_f64() + INSIGNIFICANT_SECONDS) / (done + INSIGNIFICANT_SECONDS);
    Duration::try_from_secs_f64(left * factor).unwrap_or_default()
}

fn shown(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..100 => format!("{seconds} s"),
        seconds @ 100..6000 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remaining_time_follows_the_elapsed_time() {
        fn check(taken: u64, done: f64, remaining: f64, expected: f64) {
            let found = left(Duration::from_secs(taken), done, remaining).as_secs_f64();
            assert!((found - expected).abs() < 1e-6, "{found}");
        }
        check(0, 0.0, 100.0, 100.0);
        check(1970, 970.0, 100.0, 200.0);
        check(10, 10.0, -1.0, 0.0);
    }

    #[test]
    fn times_are_shown_as_people_say_them() {
        fn check(seconds: u64, expected: &str) {
            assert_eq!(shown(Duration::from_secs(seconds)), expected);
        }
        check(0, "0 s");
        check(99, "99 s");
        check(601, "11 min");
        check(7261, "2 h 1 min");
    }
}
