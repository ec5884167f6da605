//! Number of prewarmed instances that may exist, for one function and for all functions of an engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of prewarmed instances that may exist.
pub(crate) struct PrewarmBudget {
    each: usize,
    all: usize,
    now: AtomicUsize,
}

/// Permits one prewarmed instance until dropped.
pub(crate) struct PrewarmPermit(Arc<PrewarmBudget>);

impl PrewarmBudget {
    /// One function has a budget of one instance for each processor, as many as can run at once.
    /// All functions together have a quarter of the pool.
    pub(super) fn of(instances: u32) -> Arc<Self> {
        let each = std::thread::available_parallelism().map_or(1, usize::from);
        let all = usize::try_from(instances / 4).unwrap_or(usize::MAX);
        Self::new(each, all)
    }

    pub(crate) fn new(each: usize, all: usize) -> Arc<Self> {
        Arc::new(Self {
            each,
            all,
            now: AtomicUsize::new(0),
        })
    }

    /// Permits an instance for a function with so many that wait for a request; `None` when the
    /// function or the engine has enough.
    pub(crate) fn permit(budget: &Arc<Self>, waiting: usize) -> Option<PrewarmPermit> {
        if waiting >= budget.each {
            return None;
        }
        budget
            .now
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                (now < budget.all).then_some(now + 1)
            })
            .ok()
            .map(|_| PrewarmPermit(Arc::clone(budget)))
    }
}

impl Drop for PrewarmPermit {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::AcqRel);
    }
}
