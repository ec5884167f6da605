//! The operator's own recent changes, until a watch shows them.
//!
//! An optimisation: a restart loses it without consequences. It avoids a repeated write while the
//! watch lags behind, and endless writes when another client undoes them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sampan_crd::WasmFunctionStatus;

/// How long a watch may lag behind before the object is queried.
pub(crate) const WATCH_LAG: Duration = Duration::from_secs(2);

/// Consecutive repairs without a wait. Further ones wait, for twice as long each time.
const MAX_IMMEDIATE_REPAIRS: u32 = 3;

/// The longest wait between two repairs.
const MAX_REPAIR_WAIT: Duration = Duration::from_mins(5);

/// A change of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The digest of the desired object.
    pub(crate) wanted: String,
    /// The digest of the desired fields in the API server's response.
    pub(crate) result: String,
    /// The resource version after the change.
    pub(crate) version: Option<u64>,
    /// The time of the change.
    pub(crate) at: Instant,
    /// How many times in a row the same object was desired.
    pub(crate) repeats: u32,
}

impl Change {
    /// The wait before the next write of the same object.
    pub(crate) fn pause(&self) -> Duration {
        match self.repeats.checked_sub(MAX_IMMEDIATE_REPAIRS) {
            None => Duration::ZERO,
            Some(beyond) => Duration::from_secs(1 << beyond.min(8)).min(MAX_REPAIR_WAIT),
        }
    }
}

#[derive(Default)]
struct Entry {
    changes: HashMap<&'static str, Change>,
    status: Option<(Option<u64>, WasmFunctionStatus)>,
    /// Whether a move of the Service was sent, and no status has its time yet.
    unconfirmed_move: bool,
    failures: u32,
}

/// By the resources' UIDs.
#[derive(Default)]
pub(crate) struct History(Mutex<HashMap<String, Entry>>);

impl History {
    /// The last change of the function's object of this kind.
    pub(crate) fn change(&self, uid: &str, kind: &'static str) -> Option<Change> {
        self.lock().get(uid)?.changes.get(kind).cloned()
    }

    /// Records a change.
    pub(crate) fn record(&self, uid: &str, kind: &'static str, mut change: Change) {
        let mut history = self.lock();
        let changes = &mut history.entry(uid.to_owned()).or_default().changes;
        if let Some(before) = changes.get(kind)
            && before.wanted == change.wanted
            && before.at.elapsed() < 2 * MAX_REPAIR_WAIT
        {
            change.repeats = before.repeats + 1;
        }
        changes.insert(kind, change);
    }

    /// The last written status, if `version` of the resource is older.
    pub(crate) fn status(&self, uid: &str, version: Option<u64>) -> Option<WasmFunctionStatus> {
        let history = self.lock();
        let (written, status) = history.get(uid)?.status.as_ref()?;
        // Without a version there is nothing to compare, and the written status has priority.
        let newer = written.is_none() || version.is_none() || *written > version;
        newer.then(|| status.clone())
    }

    /// The resource version after the last written status, if `version` is older.
    pub(crate) fn newest_version(&self, uid: &str, version: Option<u64>) -> Option<u64> {
        let history = self.lock();
        let entry = history.get(uid);
        let written = entry.and_then(|entry| entry.status.as_ref()?.0);
        version.max(written)
    }

    /// Records a written status.
    pub(crate) fn set_status(&self, uid: &str, version: Option<u64>, status: WasmFunctionStatus) {
        self.lock().entry(uid.to_owned()).or_default().status = Some((version, status));
    }

    /// Whether a move of the function's Service was sent, and no status has its time yet.
    pub(crate) fn has_unconfirmed_move(&self, uid: &str) -> bool {
        let history = self.lock();
        history.get(uid).is_some_and(|entry| entry.unconfirmed_move)
    }

    /// Records that a move of the function's Service is sent, or that a status has its time.
    pub(crate) fn set_unconfirmed_move(&self, uid: &str, unconfirmed: bool) {
        let mut history = self.lock();
        if unconfirmed {
            history.entry(uid.to_owned()).or_default().unconfirmed_move = true;
        } else if let Some(entry) = history.get_mut(uid) {
            entry.unconfirmed_move = false;
        }
    }

    /// Counts a failure. Returns the number of consecutive ones.
    pub(crate) fn count_failure(&self, uid: &str) -> u32 {
        let mut history = self.lock();
        let failures = &mut history.entry(uid.to_owned()).or_default().failures;
        *failures = failures.saturating_add(1);
        *failures
    }

    /// Resets the number of failures.
    pub(crate) fn reset_failures(&self, uid: &str) {
        if let Some(entry) = self.lock().get_mut(uid) {
            entry.failures = 0;
        }
    }

    /// Drops a resource.
    pub(crate) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Drops deleted resources, once they outnumber the existing ones.
    pub(crate) fn prune(&self, there: usize, is_there: impl FnOnce() -> Vec<String>) {
        let mut history = self.lock();
        if history.len() > 2 * there + 64 {
            let uids: std::collections::HashSet<String> = is_there().into_iter().collect();
            history.retain(|uid, _| uids.contains(uid));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
