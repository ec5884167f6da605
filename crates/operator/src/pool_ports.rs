//! Assigns each pooled function of a namespace a port of its own in the pods of the pool.
//!
//! The status has the assignment. This remembers what the status cannot show: assignments that the
//! cache does not have yet, and ports whose last function still drains. A port is free only when the
//! reports of all pods show that none serves it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::Resource as _;
use sampan_crd::MOVE_DRAIN;

use crate::port_use::PortUse;
use crate::watched::WatchedFunction;

/// How long a port is not assigned again after its function has left it.
const REST: Duration = MOVE_DRAIN.saturating_add(Duration::from_secs(5));

/// A function of a namespace, as the cache has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resident {
    /// The name of the resource.
    pub(crate) name: String,
    /// The UID of the resource.
    pub(crate) uid: String,
    /// The second of its creation.
    pub(crate) created: i64,
    /// The port in its status.
    pub(crate) port: Option<u16>,
}

impl Resident {
    /// A function of the cache.
    pub(crate) fn of(uid: String, function: &WatchedFunction) -> Self {
        let created = function.meta().creation_timestamp.as_ref();
        Self {
            name: function.meta().name.clone().unwrap_or_default(),
            uid,
            created: created.map_or(i64::MAX, |time| time.0.as_second()),
            port: function.pool_port(),
        }
    }

    /// Whether this one keeps a port that both have: the older one does.
    fn precedes(&self, other: &Self) -> bool {
        (self.created, &self.uid) < (other.created, &other.uid)
    }
}

/// The result of an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assignment {
    /// The function's port.
    Port(u16),
    /// No port is free.
    Full,
    /// Ports may still drain that only an earlier operator knew: ask again after this time.
    Later(Duration),
}

/// The ports of one namespace.
type Ledger = BTreeMap<u16, Entry>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    uid: String,
    /// Whether the cache has shown this assignment.
    seen: bool,
    /// Since when the function is known not to have it any more.
    left: Option<Instant>,
}

/// The ports of all namespaces.
pub(crate) struct PoolPorts {
    started: Instant,
    ledgers: Mutex<HashMap<String, Ledger>>,
}

impl PoolPorts {
    pub(crate) fn new(started: Instant) -> Self {
        Self {
            started,
            ledgers: Mutex::default(),
        }
    }

    /// Records that a function has a port. Returns whether no other function is known to have it.
    pub(crate) fn claim(&self, namespace: &str, uid: &str, port: u16) -> bool {
        let mut ledgers = self.lock();
        let ledger = ledgers.entry(namespace.to_owned()).or_default();
        match ledger.get_mut(&port) {
            Some(entry) if entry.uid != uid => false,
            Some(entry) => {
                entry.left = None;
                true
            }
            None => {
                ledger.insert(port, Entry::new(uid, true));
                true
            }
        }
    }

    /// Assigns a port to `own`, or keeps the one that it has.
    ///
    /// `others` are all other functions of the namespace. `in_use` is what was seen before this
    /// function.
    pub(crate) fn assign(
        &self,
        namespace: &str,
        own: &Resident,
        others: &[Resident],
        in_use: &PortUse,
        now: Instant,
    ) -> Assignment {
        let mut ledgers = self.lock();
        let ledger = ledgers.entry(namespace.to_owned()).or_default();
        refresh(ledger, own, others, in_use, now);
        if let Some(port) = own.port {
            let older = |other: &&Resident| other.port == Some(port) && other.precedes(own);
            if !others.iter().any(|other| older(&other)) {
                ledger.insert(port, Entry::new(&own.uid, true));
                return Assignment::Port(port);
            }
        }
        // Assigned before, and the cache does not have it yet.
        let pending = ledger.iter().find(|(port, entry)| {
            entry.uid == own.uid && entry.left.is_none() && Some(**port) != own.port
        });
        if let Some((port, _)) = pending {
            return Assignment::Port(*port);
        }
        let age = now.saturating_duration_since(self.started);
        if in_use.has_pool
            && let Some(left) = REST.checked_sub(age).filter(|left| !left.is_zero())
        {
            return Assignment::Later(left);
        }
        let taken: HashSet<u16> = others.iter().filter_map(|other| other.port).collect();
        let free =
            |port: &u16| !ledger.contains_key(port) && !taken.contains(port) && !in_use.has(*port);
        let Some(port) = in_use.candidates(&own.uid).find(free) else {
            return Assignment::Full;
        };
        ledger.insert(port, Entry::new(&own.uid, false));
        Assignment::Port(port)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Ledger>> {
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new(uid: &str, seen: bool) -> Self {
        Self {
            uid: uid.to_owned(),
            seen,
            left: None,
        }
    }
}

/// Compares the ledger with the cache: notes what left its port, and drops what has drained.
fn refresh(
    ledger: &mut Ledger,
    own: &Resident,
    others: &[Resident],
    in_use: &PortUse,
    now: Instant,
) {
    let residents = || others.iter().chain([own]);
    let there: HashMap<&str, Option<u16>> = residents()
        .map(|resident| (resident.uid.as_str(), resident.port))
        .collect();
    ledger.retain(|port, entry| {
        let shown = match there.get(entry.uid.as_str()) {
            Some(shown) if *shown == Some(*port) => {
                entry.seen = true;
                true
            }
            // It waits for the cache.
            Some(_) => !entry.seen,
            None => false,
        };
        if shown {
            entry.left = None;
            return true;
        }
        let left = *entry.left.get_or_insert(now);
        now.saturating_duration_since(left) < REST || in_use.may_serve(*port)
    });
    for resident in residents() {
        if let Some(port) = resident.port {
            let entry = ledger
                .entry(port)
                .or_insert_with(|| Entry::new(&resident.uid, true));
            if entry.left.is_some() {
                *entry = Entry::new(&resident.uid, true);
            }
        }
    }
}

#[cfg(test)]
mod tests;
