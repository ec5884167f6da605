//! Names of the `ConfigMap`s and Secrets that functions refer to, which the pool and its watches
//! share.
//!
//! The watches keep the data of these objects alone. A name that is added later is asked for by a
//! request of its own, unless a list has answered it by then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::objects::{ObjectKey, ObjectKind};

/// The wanted names. Clones share them.
#[derive(Clone, Debug)]
pub struct WantedObjects {
    /// Each name, with whether the API server has answered for it.
    names: Arc<Mutex<HashMap<ObjectKey, bool>>>,
    added: mpsc::UnboundedSender<ObjectKey>,
}

impl WantedObjects {
    /// Makes an empty set. Added names go to the receiver as well; their number is bounded by the
    /// references of all functions.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<ObjectKey>) {
        let (added, receiver) = mpsc::unbounded_channel();
        let names = Arc::default();
        (Self { names, added }, receiver)
    }

    /// Adds a name.
    pub(crate) fn add(&self, key: ObjectKey) {
        self.names().insert(key.clone(), false);
        // Without a receiver, lists alone answer.
        let _ = self.added.send(key);
    }

    /// Removes a name.
    pub(crate) fn remove(&self, key: &ObjectKey) {
        self.names().remove(key);
    }

    /// Records that a watch has an answer for a name; returns whether it is wanted.
    pub(crate) fn answer(&self, key: &ObjectKey) -> bool {
        match self.names().get_mut(key) {
            Some(answered) => {
                *answered = true;
                true
            }
            None => false,
        }
    }

    pub(crate) fn is_wanted(&self, key: &ObjectKey) -> bool {
        self.names().contains_key(key)
    }

    /// Whether a name is wanted and not answered.
    pub(crate) fn is_open(&self, key: &ObjectKey) -> bool {
        self.names().get(key) == Some(&false)
    }

    /// All names of a kind.
    pub(crate) fn of_kind(&self, kind: ObjectKind) -> Vec<String> {
        let names = self.names();
        let names = names.keys().filter(|key| key.kind == kind);
        names.map(|key| key.name.clone()).collect()
    }

    fn names(&self) -> MutexGuard<'_, HashMap<ObjectKey, bool>> {
        // No code panics between lock and unlock.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_open_until_it_is_answered() {
        let (wanted, mut added) = WantedObjects::new();
        let key = ObjectKey::secret("a");
        assert!(!wanted.is_open(&key) && !wanted.answer(&key));
        wanted.add(key.clone());
        assert!(wanted.is_open(&key));
        assert_eq!(added.try_recv().ok(), Some(key.clone()));
        assert_eq!(wanted.of_kind(ObjectKind::Secret), ["a"]);
        assert!(wanted.of_kind(ObjectKind::ConfigMap).is_empty());
        assert!(wanted.answer(&key));
        assert!(!wanted.is_open(&key));
        wanted.remove(&key);
        assert!(!wanted.answer(&key));
    }
}
