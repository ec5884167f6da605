//! Watches that do not work, as long as they do not.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::runtime::watcher::Error;

/// A failing watch tries again at least this often, so that an older failure is over.
const FRESH: Duration = Duration::from_secs(75);

/// What is wrong with which watch.
#[derive(Default)]
pub(crate) struct Faults(Mutex<HashMap<&'static str, Fault>>);

struct Fault {
    forbidden: bool,
    at: Instant,
}

impl Faults {
    /// A resource that the operator may not watch.
    pub(super) fn forbidden(&self) -> Option<&'static str> {
        let faults = self.lock();
        let current = |fault: &Fault| fault.forbidden && fault.at.elapsed() < FRESH;
        let mut forbidden: Vec<&str> = faults
            .iter()
            .filter(|(_, fault)| current(fault))
            .map(|(resource, _)| *resource)
            .collect();
        // Always the same one, so that conditions do not change for nothing.
        forbidden.sort_unstable();
        forbidden.first().copied()
    }

    /// Notes a failure; `true` when it has to be told of every function.
    pub(super) fn note(&self, resource: &'static str, error: &Error) -> bool {
        tracing::warn!(resource, %error, "a watch failed and is tried again");
        let forbidden = code(error) == Some(403);
        let fault = Fault {
            forbidden,
            at: Instant::now(),
        };
        let before = self.lock().insert(resource, fault);
        forbidden && !before.is_some_and(|before| before.forbidden)
    }

    /// The watch works; `true` when that has to be told of every function.
    pub(super) fn clear(&self, resource: &'static str) -> bool {
        self.lock()
            .remove(resource)
            .is_some_and(|before| before.forbidden)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<&'static str, Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The API server's answer, when there was one.
fn code(error: &Error) -> Option<u16> {
    match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status))
        | Error::WatchFailed(kube::Error::Api(status))
        | Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}
