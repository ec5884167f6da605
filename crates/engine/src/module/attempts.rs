//! One attempt at a time for each module that the cache lacks: of several functions that want it, the first one
//! gets it for all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use sampan_spec::Limits;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::compile::module_name::ModuleName;
use crate::error::LoadError;

/// The last attempt that failed.
type LastAttempt = AsyncMutex<Option<FailedAttempt>>;

/// The modules that are compiled now, or waited for.
#[derive(Default)]
pub(super) struct Attempts(Mutex<HashMap<ModuleName, Weak<LastAttempt>>>);

/// An attempt that failed.
pub(super) struct FailedAttempt {
    begun: Instant,
    limits: (Duration, u64),
    error: LoadError,
}

impl FailedAttempt {
    pub(super) fn new(begun: Instant, limits: &Limits, error: LoadError) -> Self {
        Self {
            begun,
            limits: of_compiler(limits),
            error,
        }
    }

    /// The error for a function with these limits that has waited since `asked`, if its own attempt would be the same.
    pub(super) fn answer(&self, asked: Instant, limits: &Limits) -> Option<LoadError> {
        let is_same = self.begun >= asked && self.limits == of_compiler(limits);
        is_same.then(|| self.error.clone())
    }
}

/// The limits on which the result of a compilation depends.
fn of_compiler(limits: &Limits) -> (Duration, u64) {
    (limits.compile_time, limits.compile_memory.bytes())
}

impl Attempts {
    /// Waits until no other function attempts to get the module.
    pub(super) async fn begin(&self, name: &ModuleName) -> OwnedMutexGuard<Option<FailedAttempt>> {
        self.last(name).lock_owned().await
    }

    fn last(&self, name: &ModuleName) -> Arc<LastAttempt> {
        // No code panics while the lock is held.
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = attempts.get(name).and_then(Weak::upgrade) {
            return last;
        }
        attempts.retain(|_, last| last.strong_count() > 0);
        let last = Arc::default();
        attempts.insert(name.clone(), Arc::downgrade(&last));
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(digit: char) -> ModuleName {
        let text: String = std::iter::repeat_n(digit, 64).collect();
        text.parse().expect("it is a name")
    }

    #[tokio::test]
    async fn one_attempt_at_a_time_for_each_module() {
        let attempts = Attempts::default();
        let (a, b) = (name('a'), name('b'));
        let first = attempts.begin(&a).await;
        let mut second = Box::pin(attempts.begin(&a));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(attempts.begin(&b).await);
        drop(first);
        assert!(second.await.is_none());
        drop(attempts.begin(&b).await);
        let known = attempts.0.lock().expect("it is not poisoned").len();
        assert_eq!(known, 1, "modules without an attempt are forgotten");
    }

    #[test]
    fn a_failure_is_for_those_that_waited_with_the_same_limits() {
        let limits = Limits::default();
        let longer = Limits {
            compile_time: limits.compile_time + Duration::from_secs(1),
            ..limits.clone()
        };
        let begun = Instant::now();
        let failed = FailedAttempt::new(begun, &limits, LoadError::Precompiled);
        let check = |asked: Instant, limits: &Limits, expected: bool| {
            assert_eq!(failed.answer(asked, limits).is_some(), expected);
        };
        check(begun, &limits, true);
        check(
            begun.checked_sub(Duration::from_secs(1)).expect("a time"),
            &limits,
            true,
        );
        check(begun + Duration::from_secs(1), &limits, false);
        check(begun, &longer, false);
    }
}
