//! Instances that wait for another request, for functions that ask for reuse.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sampan_spec::InstancePolicy;

/// A stack, so that the instance used last, whose memory is warm, is used next, and the others grow
/// old and are dropped.
pub(crate) struct Idle<T> {
    stack: Mutex<Vec<Entry<T>>>,
}

struct Entry<T> {
    instance: T,
    served: u32,
    since: Instant,
}

/// An instance with the number of requests that it has served before.
pub(crate) struct Used<T> {
    pub(crate) instance: T,
    pub(crate) served: u32,
}

impl<T> Idle<T> {
    pub(crate) fn new() -> Self {
        Self {
            stack: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn take(&self) -> Option<Used<T>> {
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

    /// Keeps an instance that has just served a request, unless it has served its share.
    pub(crate) fn put(&self, used: Used<T>, requests: NonZeroU32) {
        let served = used.served + 1;
        if served >= requests.get() {
            return;
        }
        let entry = Entry {
            instance: used.instance,
            served,
            since: Instant::now(),
        };
        self.stack
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entry);
    }

    /// Drops instances that have been idle for longer than `most`; says whether any are left.
    pub(crate) fn sweep(&self, most: Duration) -> bool {
        let mut stack = self.stack.lock().unwrap_or_else(PoisonError::into_inner);
        // The oldest lie at the bottom.
        let keep_from = stack.partition_point(|entry| entry.since.elapsed() > most);
        let old: Vec<_> = stack.drain(..keep_from).collect();
        let left = !stack.is_empty();
        drop(stack);
        // Dropping an instance resets its memory: not while others wait for the lock.
        drop(old);
        left
    }
}

/// How many requests an instance may serve, and how long it may wait; `None` when each request has
/// its own.
pub(crate) fn reuse(policy: &InstancePolicy) -> Option<(NonZeroU32, Duration)> {
    match policy {
        InstancePolicy::Fresh => None,
        InstancePolicy::Reuse { requests, idle } => Some((*requests, *idle)),
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
    fn only_instances_past_their_time_are_swept() {
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
