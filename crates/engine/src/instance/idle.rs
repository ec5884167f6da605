//! Idle instances: prewarmed ones, and used ones of functions with reuse.
//!
//! A prewarmed instance has served no request. It is made after a response has left, so that
//! neither instantiation nor clean-up delays a response. It then serves one request, like any fresh
//! instance.
//!
//! Prewarming pays off only while there is time between requests. Without pauses it spreads the
//! work over more memory. A used instance is then cleared at once, and the next request reuses its
//! memory while the processor still has it in its cache.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sampan_spec::InstancePolicy;

use crate::context::prewarm_budget::{PrewarmBudget, PrewarmPermit};

/// A stack of idle instances. The most recently used one, which has warm memory, is used next. The
/// others age and are dropped.
pub(crate) struct Idle<T> {
    stack: Mutex<Vec<Entry<T>>>,
}

struct Entry<T> {
    instance: T,
    served: u32,
    since: Instant,
    /// The share of a prewarmed instance in the budget of all functions.
    _permit: Option<PrewarmPermit>,
}

/// How long a prewarmed instance waits for a request.
const PREWARMED_IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// An instance with the number of requests that it has served.
pub(super) struct Used<T> {
    pub(super) instance: T,
    pub(super) served: u32,
}

impl<T> Idle<T> {
    pub(super) fn new() -> Self {
        Self {
            stack: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn take(&self) -> Option<Used<T>> {
        let entry = self
            .stack
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()?;
        Some(Used {
            instance: entry.instance,
            served: entry.served,
        })
    }

    /// Keeps an instance that has just served a request, unless it has reached its maximum.
    pub(super) fn put(&self, used: Used<T>, requests: NonZeroU32) {
        let served = used.served + 1;
        if served >= requests.get() {
            return;
        }
        self.push(used.instance, served, None);
    }

    /// Keeps a prewarmed instance.
    pub(super) fn put_prewarmed(&self, instance: T, permit: PrewarmPermit) {
        self.push(instance, 0, Some(permit));
    }

    /// Reserves a prewarmed instance; `None` when the function or the engine has enough.
    pub(super) fn prewarm_permit(&self, budget: &Arc<PrewarmBudget>) -> Option<PrewarmPermit> {
        let waiting = self
            .stack
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len();
        PrewarmBudget::permit(budget, waiting)
    }

    fn push(&self, instance: T, served: u32, permit: Option<PrewarmPermit>) {
        let entry = Entry {
            instance,
            served,
            since: Instant::now(),
            _permit: permit,
        };
        self.stack
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entry);
    }

    /// Drops all instances.
    pub(crate) fn clear(&self) {
        let mut stack = self.stack.lock().unwrap_or_else(PoisonError::into_inner);
        let all = std::mem::take(&mut *stack);
        drop(stack);
        drop(all);
    }

    /// Drops instances that have been idle for longer than `most`. Returns whether any are left.
    pub(crate) fn sweep(&self, most: Duration) -> bool {
        let mut stack = self.stack.lock().unwrap_or_else(PoisonError::into_inner);
        // The oldest are at the bottom.
        let keep_from = stack.partition_point(|entry| entry.since.elapsed() > most);
        let old: Vec<_> = stack.drain(..keep_from).collect();
        let left = !stack.is_empty();
        drop(stack);
        // Dropping an instance resets its memory, so the lock is released first.
        drop(old);
        left
    }
}

/// The number of requests that an instance may serve; `None` without reuse.
pub(super) fn reuse(policy: &InstancePolicy) -> Option<NonZeroU32> {
    match policy {
        InstancePolicy::Fresh => None,
        InstancePolicy::Reuse { requests, .. } => Some(*requests),
    }
}

/// How long an instance may wait for a request.
pub(crate) fn idle_timeout(policy: &InstancePolicy) -> Duration {
    match policy {
        InstancePolicy::Fresh => PREWARMED_IDLE_TIMEOUT,
        InstancePolicy::Reuse { idle, .. } => *idle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instance_used_last_is_used_next_until_it_has_served_its_share() {
        let idle = Idle::new();
        let two = NonZeroU32::new(2).expect("not zero");
        idle.put(
            Used {
                instance: 'a',
                served: 0,
            },
            two,
        );
        idle.put(
            Used {
                instance: 'b',
                served: 0,
            },
            two,
        );
        let used = idle.take().expect("kept");
        assert_eq!((used.instance, used.served), ('b', 1));
        idle.put(used, two);
        assert_eq!(idle.take().map(|used| used.instance), Some('a'));
        assert!(idle.take().is_none());
    }

    #[test]
    fn prewarmed_instances_are_limited_for_each_function_and_in_total() {
        let budget = PrewarmBudget::new(2, 3);
        let check = |idle: &Idle<char>, expected: bool| {
            let permit = idle.prewarm_permit(&budget);
            assert_eq!(permit.is_some(), expected);
            if let Some(permit) = permit {
                idle.put_prewarmed('a', permit);
            }
        };
        let (one, other) = (Idle::new(), Idle::new());
        check(&one, true);
        check(&one, true);
        check(&one, false);
        check(&other, true);
        check(&other, false);
        // Taking a prewarmed instance makes room for another.
        assert_eq!(one.take().map(|used| used.served), Some(0));
        check(&other, true);
    }

    #[test]
    fn only_expired_instances_are_swept() {
        let idle = Idle::new();
        let many = NonZeroU32::new(9).expect("not zero");
        idle.put(
            Used {
                instance: 'a',
                served: 0,
            },
            many,
        );
        assert!(idle.sweep(Duration::from_hours(1)));
        assert!(!idle.sweep(Duration::ZERO));
        assert!(idle.take().is_none());
    }
}
