//! Decides who holds a Lease: a pure function of the Lease and its last observation.
//!
//! The holder's clock is not trusted: a Lease has ended when it has not changed for its duration by
//! the local clock.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

/// Durations of a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a Lease holds without a renewal. Whole seconds.
    pub duration: Duration,
    /// How long the holder tries to renew it before it stops. Less than the duration, so that two
    /// operators never work at once.
    pub deadline: Duration,
    /// The interval at which the holder renews it and others check it.
    pub retry: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// The last observed Lease, and when it was first observed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LeaseObservation {
    spec: LeaseSpec,
    since: Instant,
}

impl LeaseObservation {
    /// Observes the current Lease.
    pub(crate) fn observe(before: Option<Self>, lease: &Lease, now: Instant) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        match before {
            Some(before) if before.spec == spec => before,
            _ => Self { spec, since: now },
        }
    }

    /// Whether `me` holds it.
    pub(crate) fn is_held_by(&self, me: &str) -> bool {
        self.spec.holder_identity.as_deref() == Some(me)
    }

    /// Whether any operator may take it.
    pub(crate) fn is_free(&self, now: Instant) -> bool {
        let holder = self.spec.holder_identity.as_deref().unwrap_or_default();
        let seconds = self.spec.lease_duration_seconds.unwrap_or(0);
        let duration = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        holder.is_empty() || now.duration_since(self.since) > duration
    }
}

/// The Lease with `me` as its holder, from now on.
pub(crate) fn held(before: Option<&Lease>, me: &str, terms: Terms, now: Timestamp) -> LeaseSpec {
    let before = before
        .and_then(|lease| lease.spec.clone())
        .unwrap_or_default();
    let mine = before.holder_identity.as_deref() == Some(me);
    let transitions = before.lease_transitions.unwrap_or(0);
    LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: Some(i32::try_from(terms.duration.as_secs()).unwrap_or(i32::MAX)),
        acquire_time: before
            .acquire_time
            .filter(|_| mine)
            .or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(if mine {
            transitions
        } else {
            transitions.saturating_add(1)
        }),
        ..before
    }
}

/// The Lease without a holder, so that the next operator need not wait.
pub(crate) fn released(before: &Lease, now: Timestamp) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(String::new()),
        lease_duration_seconds: Some(1),
        renew_time: Some(MicroTime(now)),
        ..before.spec.clone().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use k8s_openapi::api::coordination::v1::Lease;
    use k8s_openapi::jiff::Timestamp;

    use super::{LeaseObservation, Terms, held, released};

    fn lease(me: &str, second: i64) -> Lease {
        let now = Timestamp::from_second(second).expect("a time");
        Lease {
            spec: Some(held(None, me, Terms::default(), now)),
            ..Lease::default()
        }
    }

    #[test]
    fn a_lease_expires_when_unchanged_for_its_duration() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let first = LeaseObservation::observe(None, &lease("a", 0), start);
        assert!(first.is_held_by("a") && !first.is_held_by("b"));
        assert!(!first.is_free(after(15)));
        assert!(first.is_free(after(16)));
        // Renewed: its time begins again, independent of the holder's clock.
        let renewed =
            LeaseObservation::observe(Some(first.clone()), &lease("a", -1_000), after(14));
        assert!(!renewed.is_free(after(29)));
        assert!(renewed.is_free(after(30)));
        // Observed again without a change.
        let same = LeaseObservation::observe(Some(first), &lease("a", 0), after(14));
        assert!(same.is_free(after(16)));
    }

    #[test]
    fn a_released_lease_is_free_at_once() {
        let now = Instant::now();
        let before = lease("a", 0);
        let after = Lease {
            spec: Some(released(
                &before,
                Timestamp::from_second(1).expect("a time"),
            )),
            ..Lease::default()
        };
        assert!(LeaseObservation::observe(None, &after, now).is_free(now));
        assert!(LeaseObservation::observe(None, &Lease::default(), now).is_free(now));
    }

    #[test]
    fn a_new_holder_is_a_transition_and_a_renewal_is_none() {
        let time = |second| Timestamp::from_second(second).expect("a time");
        let terms = Terms::default();
        let first = lease("a", 0);
        let renewed = held(Some(&first), "a", terms, time(5));
        assert_eq!(renewed.lease_transitions, Some(1));
        assert_eq!(renewed.acquire_time.map(|at| at.0), Some(time(0)));
        assert_eq!(renewed.renew_time.map(|at| at.0), Some(time(5)));
        let taken = held(Some(&first), "b", terms, time(20));
        assert_eq!(taken.lease_transitions, Some(2));
        assert_eq!(taken.acquire_time.map(|at| at.0), Some(time(20)));
    }
}
