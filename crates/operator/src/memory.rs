//! What the operator remembers of its own changes until a watch shows them.
//!
//! It is a help and no truth: a restart loses it and nothing else. It keeps a change from being made
//! again while the watch lags behind, and from being made over and over when somebody else undoes it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sampan_crd::WasmFunctionStatus;

/// How long a watch may lag behind before the change is looked for.
pub(crate) const LAG: Duration = Duration::from_secs(2);

/// Repairs in a row that are made at once. Further ones wait, for twice as long each time.
const PATIENCE: u32 = 3;

/// The longest wait between two repairs.
const LONGEST: Duration = Duration::from_mins(5);

/// A change that was made to one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The digest of what was wanted.
    pub(crate) wanted: String,
    /// The digest of what the API server made of it, as far as it was wanted.
    pub(crate) became: String,
    /// The version of the object after it.
    pub(crate) version: Option<u64>,
    /// When.
    pub(crate) at: Instant,
    /// How many times in a row the same was wanted.
    pub(crate) repeats: u32,
}

impl Change {
    /// How long to wait before the same is wanted again.
    pub(crate) fn pause(&self) -> Duration {
        match self.repeats.checked_sub(PATIENCE) {
            None => Duration::ZERO,
            Some(beyond) => Duration::from_secs(1 << beyond.min(8)).min(LONGEST),
        }
    }
}

#[derive(Default)]
struct Memo {
    changes: HashMap<&'static str, Change>,
    status: Option<(Option<u64>, WasmFunctionStatus)>,
    failures: u32,
}

/// By the resources' identity in time.
#[derive(Default)]
pub(crate) struct Memory(Mutex<HashMap<String, Memo>>);

impl Memory {
    /// The last change to the function's object of this kind.
    pub(crate) fn change(&self, uid: &str, kind: &'static str) -> Option<Change> {
        self.lock().get(uid)?.changes.get(kind).cloned()
    }

    /// Remembers a change.
    pub(crate) fn changed(&self, uid: &str, kind: &'static str, mut change: Change) {
        let mut memory = self.lock();
        let changes = &mut memory.entry(uid.to_owned()).or_default().changes;
        if let Some(before) = changes.get(kind)
            && before.wanted == change.wanted
            && before.at.elapsed() < 2 * LONGEST
        {
            change.repeats = before.repeats + 1;
        }
        changes.insert(kind, change);
    }

    /// The status as it was last written, when `version` of the resource is older than that.
    pub(crate) fn status(&self, uid: &str, version: Option<u64>) -> Option<WasmFunctionStatus> {
        let memory = self.lock();
        let (written, status) = memory.get(uid)?.status.as_ref()?;
        // Without a version there is nothing to compare, and the own word is the better one.
        let newer = written.is_none() || version.is_none() || *written > version;
        newer.then(|| status.clone())
    }

    /// Remembers a status.
    pub(crate) fn told(&self, uid: &str, version: Option<u64>, status: WasmFunctionStatus) {
        self.lock().entry(uid.to_owned()).or_default().status = Some((version, status));
    }

    /// One more failure; how many in a row that makes.
    pub(crate) fn failed(&self, uid: &str) -> u32 {
        let mut memory = self.lock();
        let failures = &mut memory.entry(uid.to_owned()).or_default().failures;
        *failures = failures.saturating_add(1);
        *failures
    }

    /// No failure this time.
    pub(crate) fn succeeded(&self, uid: &str) {
        if let Some(memo) = self.lock().get_mut(uid) {
            memo.failures = 0;
        }
    }

    /// Forgets what is no longer there, once it is more than what is.
    pub(crate) fn prune(&self, there: usize, is_there: impl FnOnce() -> Vec<String>) {
        let mut memory = self.lock();
        if memory.len() > 2 * there + 64 {
            let uids: std::collections::HashSet<String> = is_there().into_iter().collect();
            memory.retain(|uid, _| uids.contains(uid));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Memo>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
