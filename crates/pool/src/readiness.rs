//! Readiness of the pool's pod: once each known function was loaded or has failed, and until the
//! pod stops.
//!
//! A pod that was ready stays ready: a function that is added later must not take the others out of
//! their Services.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use sampan_telemetry::Health;

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

/// The functions for which the pod's readiness waits.
#[derive(Debug)]
pub(crate) struct Settling {
    readiness: Readiness,
    /// Whether the functions are known: listed, or restored.
    known: bool,
    unsettled: HashSet<Uid>,
    done: bool,
}

impl Settling {
    pub(crate) fn new(readiness: Readiness) -> Self {
        Self {
            readiness,
            known: false,
            unsettled: HashSet::new(),
            done: false,
        }
    }

    /// Records whether a function was loaded or has failed.
    pub(crate) fn set(&mut self, uid: &str, settled: bool) {
        if self.done {
            return;
        }
        if settled {
            self.unsettled.remove(uid);
        } else if !self.unsettled.contains(uid) {
            self.unsettled.insert(uid.to_owned());
        }
        self.check();
    }

    /// Records that all functions are known. Returns whether that is new.
    pub(crate) fn set_known(&mut self) -> bool {
        let is_new = !self.known;
        self.known = true;
        self.check();
        is_new
    }

    /// Waits for no function any longer. Returns how many are not settled.
    pub(crate) fn give_up(&mut self) -> usize {
        let left = self.unsettled.len();
        self.unsettled.clear();
        self.check();
        left
    }

    fn check(&mut self) {
        if self.known && !self.done && self.unsettled.is_empty() {
            self.done = true;
            self.readiness.reach();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_ready_once_and_until_it_stops() {
        let health = Health::not_ready("starting");
        let readiness = Readiness::new(health.clone());
        let mut settling = Settling::new(readiness.clone());
        let check = |expected: bool| assert_eq!(health.reason().is_none(), expected);
        settling.set("a", false);
        settling.set("b", false);
        check(false);
        assert!(settling.set_known());
        check(false);
        settling.set("a", true);
        check(false);
        settling.set("b", true);
        check(true);
        settling.set("c", false);
        assert!(!settling.set_known());
        check(true);
        readiness.stop();
        check(false);
        readiness.reach();
        check(false);
    }

    #[test]
    fn readiness_waits_for_the_list_and_not_for_ever() {
        fn check(known: bool, unsettled: &[&str], gives_up: bool, expected: bool) {
            let health = Health::not_ready("starting");
            let mut settling = Settling::new(Readiness::new(health.clone()));
            for uid in unsettled {
                settling.set(uid, false);
            }
            if known {
                settling.set_known();
            }
            if gives_up {
                assert_eq!(settling.give_up(), unsettled.len());
            }
            let case = (known, unsettled, gives_up);
            assert_eq!(health.reason().is_none(), expected, "{case:?}");
        }
        check(false, &[], false, false);
        check(true, &[], false, true);
        check(true, &["a"], false, false);
        check(true, &["a"], true, true);
        check(false, &["a"], true, false);
    }
}
