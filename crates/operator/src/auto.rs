//! Decides from its load where a function with the placement `Auto` is to be served.
//!
//! A pure state machine over measured intervals. Times count from the start of the operator on a clock
//! that never goes back.
//!
//! - A decision needs a measure: without one, the function stays where it is. So a restart of the
//!   operator, and a load that cannot be read, move nothing.
//! - A function leaves the pool when its average over the window is above `moveOut`. It goes back when
//!   the average was below `moveBack` for all of `quiet`. A load between the two moves nothing.
//! - A new place forgets all measures, so a function stays there for the window or `quiet` at least.

use std::collections::VecDeque;
use std::time::Duration;

use sampan_crd::{MOVE_DRAIN, Placement, ValidAuto};
use sampan_spec::Processors;

/// The longest time between two measures. After a longer one, those before it do not count.
const MAX_GAP: Duration = Duration::from_mins(1);

/// The shortest stay in a place: the old one has drained by then.
const MIN_STAY: Duration = MOVE_DRAIN.saturating_add(Duration::from_secs(5));

/// The use of processors in an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Measure {
    /// Its begin.
    pub(crate) from: Duration,
    /// Its end.
    pub(crate) to: Duration,
    /// The processors in use, on average.
    pub(crate) processors: f64,
}

/// A decision to move a function, and the load that caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AutoMove {
    /// The new place.
    pub(crate) to: Placement,
    /// The average load over the window.
    pub(crate) load: Processors,
    /// The settings at that time.
    pub(crate) rule: ValidAuto,
}

/// What is remembered of one function.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AutoState {
    /// Where it is served.
    place: Placement,
    /// Since when, or since when that is known.
    since: Duration,
    /// Where it is to be served.
    wanted: Placement,
    /// The measures of the window, the oldest first. Their intervals do not overlap.
    measures: VecDeque<Measure>,
    /// Since when the load is below `moveBack`.
    quiet_since: Option<Duration>,
}

impl AutoState {
    /// That of a function that is served at a place.
    pub(crate) fn new(place: Placement, now: Duration) -> Self {
        Self {
            place,
            since: now,
            wanted: place,
            measures: VecDeque::new(),
            quiet_since: None,
        }
    }

    /// Where the function is served.
    pub(crate) fn place(&self) -> Placement {
        self.place
    }

    /// Where the function is to be served.
    pub(crate) fn wanted(&self) -> Placement {
        self.wanted
    }

    /// Records where the function is served.
    pub(crate) fn set_place(&mut self, place: Placement, now: Duration) {
        if place != self.place {
            *self = Self::new(place, now);
        }
    }

    /// Adds a measure of the load at the current place. Returns a new decision. One that ends before
    /// the last one is dropped.
    pub(crate) fn add(&mut self, measure: Measure, rule: &ValidAuto) -> Option<AutoMove> {
        let last = self.measures.back().map(|last| last.to);
        let Measure {
            from,
            to,
            processors,
        } = measure;
        let from = from.max(last.unwrap_or_default()).max(self.since);
        if to <= from || !processors.is_finite() || processors < 0.0 {
            return None;
        }
        if from.saturating_sub(last.unwrap_or(from)) > MAX_GAP {
            self.measures.clear();
            self.quiet_since = None;
        }
        self.measures.push_back(Measure {
            from,
            to,
            processors,
        });
        let begin = to.saturating_sub(rule.window);
        while self.measures.front().is_some_and(|it| it.to <= begin) {
            self.measures.pop_front();
        }
        let load = self.load(begin, rule.window);
        let back = rule.move_back.as_f64();
        match load.filter(|load| *load < back) {
            Some(_) => {
                self.quiet_since.get_or_insert(to);
            }
            None => self.quiet_since = None,
        }
        let stays = to.saturating_sub(self.since);
        let load = load.filter(|_| stays >= rule.window.max(MIN_STAY))?;
        let to = match self.wanted {
            Placement::Pooled if load > rule.move_out.as_f64() => Placement::Pod,
            Placement::Pod if self.was_quiet(to, rule.quiet) => Placement::Pooled,
            Placement::Pooled | Placement::Pod => return None,
        };
        self.wanted = to;
        Some(AutoMove {
            to,
            load: Processors::nearest(load),
            rule: *rule,
        })
    }

    /// The average load over the window that begins at `begin`; `None` if less than half of it was
    /// measured.
    fn load(&self, begin: Duration, window: Duration) -> Option<f64> {
        let (mut used, mut measured) = (0.0, Duration::ZERO);
        for measure in &self.measures {
            let time = measure.to.saturating_sub(measure.from.max(begin));
            used += measure.processors * time.as_secs_f64();
            measured += time;
        }
        (measured * 2 >= window).then(|| used / measured.as_secs_f64())
    }

    fn was_quiet(&self, now: Duration, quiet: Duration) -> bool {
        let since = self.quiet_since;
        since.is_some_and(|since| now.saturating_sub(since) >= quiet)
    }
}

#[cfg(test)]
mod tests;
