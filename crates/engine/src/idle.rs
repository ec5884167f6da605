//! Instances that wait for a request: used ones, for functions that ask for reuse, and spares, which
//! were made ahead and have seen no request yet.
//!
//! A spare is made when a request has taken an instance and been answered, so that neither making
//! one nor clearing the used one away is on the way of an answer. It serves one request like any
//! other fresh instance. That is worth it while there is time between requests; when there is none,
//! it only spreads the work over more memory, so then a used instance is cleared away at once and
//! the next request takes up its memory while the processor still has it in its cache.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    /// A spare's share of the spares that all functions together may have.
    _permit: Option<SparePermit>,
}

/// How many spares there may be.
pub(crate) struct Spares {
    each: usize,
    all: usize,
    now: AtomicUsize,
}

/// Lets one spare be, until dropped.
pub(crate) struct SparePermit(Arc<Spares>);

/// How long a spare waits for a request.
const SPARE_IDLE: Duration = Duration::from_secs(1);

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
        self.push(used.instance, served, None);
    }

    /// Keeps an instance that was made ahead.
    pub(crate) fn put_spare(&self, instance: T, permit: SparePermit) {
        self.push(instance, 0, Some(permit));
    }

    /// Asks whether a spare is wanted.
    pub(crate) fn wants_spare(&self, spares: &Arc<Spares>) -> Option<SparePermit> {
        let waiting = self
            .stack
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len();
        if waiting >= spares.each {
            return None;
        }
        Spares::permit(spares)
    }

    fn push(&self, instance: T, served: u32, permit: Option<SparePermit>) {
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

/// How many requests an instance may serve; `None` when each request has its own.
pub(crate) fn reuse(policy: &InstancePolicy) -> Option<NonZeroU32> {
    match policy {
        InstancePolicy::Fresh => None,
        InstancePolicy::Reuse { requests, .. } => Some(*requests),
    }
}

/// How long an instance may wait for a request.
pub(crate) fn patience(policy: &InstancePolicy) -> Duration {
    match policy {
        InstancePolicy::Fresh => SPARE_IDLE,
        InstancePolicy::Reuse { idle, .. } => *idle,
    }
}

impl Spares {
    /// Spares for as many requests of one function as can run at once, and a quarter of the pool
    /// for all functions.
    pub(crate) fn of(instances: u32) -> Arc<Self> {
        Arc::new(Self {
            each: std::thread::available_parallelism().map_or(1, usize::from),
            all: usize::try_from(instances / 4).unwrap_or(usize::MAX),
            now: AtomicUsize::new(0),
        })
    }

    fn permit(spares: &Arc<Self>) -> Option<SparePermit> {
        spares
            .now
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                (now < spares.all).then_some(now + 1)
            })
            .ok()
            .map(|_| SparePermit(Arc::clone(spares)))
    }
}

impl Drop for SparePermit {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::AcqRel);
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
    fn spares_are_few_for_one_function_and_for_all() {
        let spares = Arc::new(Spares {
            each: 2,
            all: 3,
            now: AtomicUsize::new(0),
        });
        let check = |idle: &Idle<char>, expected: bool| {
            let permit = idle.wants_spare(&spares);
            assert_eq!(permit.is_some(), expected);
            if let Some(permit) = permit {
                idle.put_spare('a', permit);
            }
        };
        let (one, other) = (Idle::new(), Idle::new());
        check(&one, true);
        check(&one, true);
        check(&one, false);
        check(&other, true);
        check(&other, false);
        // A spare that is taken makes room for another.
        assert_eq!(one.take().map(|used| used.served), Some(0));
        check(&other, true);
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
