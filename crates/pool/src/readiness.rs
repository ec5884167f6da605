//! Readiness of the pool's pod: once each known function is served or has failed for good, and until
//! the pod stops.
//!
//! A pod that was ready stays ready: a function that is added later must not take the others out of
//! their Services. A failure that may pass keeps a new pod unready, so that a roll-out does not
//! replace a pod that serves by one that does not: until nothing settles for a time, and for ever
//! while no function is served.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sampan_telemetry::Health;
use tokio::time::Instant;

use crate::resource::Uid;

/// The readiness, which the pool reaches and a signal ends. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Readiness(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    health: Health,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    Stopping,
}

impl Readiness {
    /// Starts as not ready.
    pub(crate) fn new(health: Health) -> Self {
        let phase = Phase::Starting;
        Self(Arc::new(Mutex::new(State { health, phase })))
    }

    /// Sets the pod not ready for good.
    pub(crate) fn stop(&self) {
        self.change(|_| Phase::Stopping);
    }

    /// Sets the pod ready, unless it stops.
    fn reach(&self) {
        self.change(|phase| match phase {
            Phase::Starting => Phase::Ready,
            later => later,
        });
    }

    fn change(&self, next: impl Fn(Phase) -> Phase) {
        // No code panics while the lock is held.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let phase = next(state.phase);
        if phase == state.phase {
            return;
        }
        state.phase = phase;
        match phase {
            Phase::Ready => state.health.set_ready(),
            Phase::Stopping => state.health.set_not_ready("stopping"),
            Phase::Starting => {}
        }
    }
}

/// How far a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It loads or waits for its port, or what has failed may succeed later.
    Loading,
    /// It has failed, and only a change can help.
    Failed,
    /// It serves requests.
    Serving,
}

/// The functions for which the pod's readiness waits.
#[derive(Debug)]
pub(crate) struct Settling {
    readiness: Readiness,
    /// The longest time without a function that settles.
    limit: Duration,
    /// When a function settled last; `None` until the functions are known, listed or restored.
    since: Option<Instant>,
    functions: HashMap<Uid, Progress>,
    loading: usize,
    done: bool,
}

impl Settling {
    pub(crate) fn new(readiness: Readiness, limit: Duration) -> Self {
        Self {
            readiness,
            limit,
            since: None,
            functions: HashMap::new(),
            loading: 0,
            done: false,
        }
    }

    /// Whether the pod was ready once.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Records how far a function is.
    pub(crate) fn set(&mut self, uid: &str, progress: Progress, now: Instant) {
        if self.done {
            return;
        }
        let before = self.functions.insert(uid.to_owned(), progress);
        self.count(before, Some(progress), now);
    }

    /// Forgets a function.
    pub(crate) fn remove(&mut self, uid: &str, now: Instant) {
        let before = self.functions.remove(uid);
        self.count(before, None, now);
    }

    fn count(&mut self, before: Option<Progress>, after: Option<Progress>, now: Instant) {
        let is_loading = |progress: Option<Progress>| progress == Some(Progress::Loading);
        match (is_loading(before), is_loading(after)) {
            (false, true) => self.loading += 1,
            (true, false) => {
                self.loading -= 1;
                self.since = self.since.map(|_| now);
            }
            _ => {}
        }
        self.check();
    }

    /// Records that all functions are known. Returns how long to wait for [`Settling::look`], if
    /// that is new.
    pub(crate) fn set_known(&mut self, now: Instant) -> Option<Duration> {
        if self.since.is_some() {
            return None;
        }
        self.since = Some(now);
        self.check();
        Some(self.limit)
    }

    /// Waits no longer for functions after the limit, if another one is served. Returns when to look
    /// again.
    pub(crate) fn look(&mut self, now: Instant) -> Option<Duration> {
        let since = self.since.filter(|_| !self.done)?;
        let waited = now.saturating_duration_since(since);
        let rest = self.limit.saturating_sub(waited);
        if !rest.is_zero() {
            return Some(rest);
        }
        let left = self.loading;
        let mut all = self.functions.values();
        if all.any(|progress| *progress == Progress::Serving) {
            tracing::warn!(left, "the pod gets ready without these functions");
            self.reach();
            return None;
        }
        tracing::warn!(left, "the pod is not ready, because it serves no function");
        self.since = Some(now);
        Some(self.limit)
    }

    fn check(&mut self) {
        if self.since.is_some() && !self.done && self.loading == 0 {
            self.reach();
        }
    }

    fn reach(&mut self) {
        self.done = true;
        (self.functions, self.loading) = (HashMap::new(), 0);
        self.readiness.reach();
    }
}

#[cfg(test)]
mod tests {
    use super::Progress::{Failed, Loading, Serving};
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn a_pod_is_ready_once_and_until_it_stops() {
        let health = Health::not_ready("starting");
        let readiness = Readiness::new(health.clone());
        let mut settling = Settling::new(readiness.clone(), LIMIT);
        let now = Instant::now();
        let check = |expected: bool| assert_eq!(health.reason().is_none(), expected);
        settling.set("a", Loading, now);
        settling.set("b", Loading, now);
        settling.set("gone", Loading, now);
        check(false);
        assert_eq!(settling.set_known(now), Some(LIMIT));
        check(false);
        settling.set("a", Serving, now);
        settling.remove("gone", now);
        check(false);
        settling.set("b", Failed, now);
        check(true);
        assert!(settling.is_done());
        settling.set("c", Loading, now);
        settling.remove("c", now);
        settling.remove("never", now);
        assert_eq!(settling.set_known(now), None);
        assert_eq!(settling.look(now + LIMIT), None);
        check(true);
        readiness.stop();
        check(false);
        readiness.reach();
        check(false);
    }

    #[test]
    fn readiness_waits_for_the_list_and_for_each_function_that_may_settle() {
        fn check(known: bool, functions: &[Progress], expected: [bool; 2]) {
            let health = Health::not_ready("starting");
            let mut settling = Settling::new(Readiness::new(health.clone()), LIMIT);
            let now = Instant::now();
            for (uid, progress) in functions.iter().enumerate() {
                settling.set(&uid.to_string(), *progress, now);
            }
            if known {
                settling.set_known(now);
            }
            let before = health.reason().is_none();
            settling.look(now + LIMIT);
            let found = [before, health.reason().is_none()];
            assert_eq!(found, expected, "{known} {functions:?}");
        }
        check(false, &[], [false, false]);
        check(true, &[], [true, true]);
        check(false, &[Serving], [false, false]);
        check(true, &[Serving, Failed], [true, true]);
        check(true, &[Failed], [true, true]);
        // At the limit, it gets ready for those that are served.
        check(true, &[Serving, Loading], [false, true]);
        // A pod that serves nothing would replace one that does.
        check(true, &[Loading, Loading], [false, false]);
        check(true, &[Failed, Loading], [false, false]);
    }

    #[test]
    fn the_limit_begins_again_with_each_function_that_settles() {
        let health = Health::not_ready("starting");
        let mut settling = Settling::new(Readiness::new(health.clone()), LIMIT);
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        for uid in ["a", "b", "c"] {
            settling.set(uid, Loading, begun);
        }
        settling.set_known(begun);
        assert_eq!(settling.look(at(4)), Some(Duration::from_secs(6)));
        // Nothing is served, so it waits on.
        assert_eq!(settling.look(at(10)), Some(LIMIT));
        settling.set("a", Serving, at(18));
        assert_eq!(settling.look(at(20)), Some(Duration::from_secs(8)));
        settling.set("b", Loading, at(26));
        settling.set("b", Serving, at(27));
        assert_eq!(settling.look(at(28)), Some(Duration::from_secs(9)));
        assert!(health.reason().is_some());
        assert_eq!(settling.look(at(37)), None);
        assert!(health.reason().is_none());
    }
}
