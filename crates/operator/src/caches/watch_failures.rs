//! Current failures of watches.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::runtime::watcher::Error;

/// A failing watch retries at least this often, so that an older failure is over.
const FAILURE_LIFETIME: Duration = Duration::from_secs(75);

/// The current failure of each watch.
#[derive(Default)]
pub(crate) struct WatchFailures(Mutex<HashMap<&'static str, WatchFailure>>);

struct WatchFailure {
    forbidden: bool,
    /// Whether there is no such resource: its definition is not installed.
    missing: bool,
    at: Instant,
}

impl WatchFailures {
    /// A resource that the operator may not watch.
    pub(super) fn forbidden(&self) -> Option<&'static str> {
        let failures = self.lock();
        let mut forbidden: Vec<&str> = failures
            .iter()
            .filter(|(_, failure)| failure.forbidden && failure.is_current())
            .map(|(resource, _)| *resource)
            .collect();
        // Always the same one, so that conditions do not change without reason.
        forbidden.sort_unstable();
        forbidden.first().copied()
    }

    /// Whether the operator may not watch a resource, or there is no such resource.
    pub(crate) fn is_refused(&self, resource: &str) -> bool {
        self.is(resource, |failure| failure.forbidden || failure.missing)
    }

    /// Whether there is no such resource: its definition is not installed.
    pub(crate) fn is_missing(&self, resource: &str) -> bool {
        self.is(resource, |failure| failure.missing)
    }

    /// Whether a watch fails, for any reason.
    pub(crate) fn is_failing(&self, resource: &str) -> bool {
        self.is(resource, |_| true)
    }

    /// Whether a watch has a current failure of this kind.
    fn is(&self, resource: &str, kind: impl Fn(&WatchFailure) -> bool) -> bool {
        let failures = self.lock();
        let failure = failures.get(resource);
        failure.is_some_and(|failure| failure.is_current() && kind(failure))
    }

    /// Records a failure; `true` when it concerns every function's status.
    pub(crate) fn note(&self, resource: &'static str, error: &Error) -> bool {
        tracing::warn!(resource, %error, "a watch failed and is tried again");
        let code = code(error);
        let forbidden = code == Some(403);
        let failure = WatchFailure {
            forbidden,
            missing: code == Some(404),
            at: Instant::now(),
        };
        let before = self.lock().insert(resource, failure);
        forbidden && !before.is_some_and(|before| before.forbidden)
    }

    /// Records that the watch works; `true` when that concerns every function's status.
    pub(crate) fn clear(&self, resource: &'static str) -> bool {
        self.lock()
            .remove(resource)
            .is_some_and(|before| before.forbidden)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<&'static str, WatchFailure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WatchFailure {
    fn is_current(&self) -> bool {
        self.at.elapsed() < FAILURE_LIFETIME
    }
}

/// The status of the API server's response, if there was one.
fn code(error: &Error) -> Option<u16> {
    match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status))
        | Error::WatchFailed(kube::Error::Api(status))
        | Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use kube::runtime::watcher::Error;

    use super::WatchFailures;

    #[test]
    fn only_a_missing_definition_says_that_there_is_no_object() {
        let check = |code, missing, refused| {
            let failures = WatchFailures::default();
            let status = Status::failure("", "").with_code(code).boxed();
            failures.note("r", &Error::InitialListFailed(kube::Error::Api(status)));
            assert!(failures.is_failing("r"), "{code}");
            assert_eq!(failures.is_missing("r"), missing, "{code}");
            assert_eq!(failures.is_refused("r"), refused, "{code}");
            assert!(!failures.is_failing("other"), "{code}");
            failures.clear("r");
            assert!(!failures.is_failing("r"), "{code}");
        };
        check(404, true, true);
        check(403, false, true);
        for code in [429, 500, 503] {
            check(code, false, false);
        }
    }
}
