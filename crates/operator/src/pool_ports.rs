//! Assigns each pooled function of a namespace a port of its own in the pods of the pool.
//!
//! The status has the assignment. This remembers what the status cannot show: assignments that the
//! cache does not have yet, and ports whose last function still drains.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::Resource as _;
use sampan_crd::{MOVE_DRAIN, POOL_PORTS};

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
    /// `others` are all other functions of the namespace, `targets` the ports that Services of
    /// others point at. `had_pool` says whether the namespace had a pool before this function.
    pub(crate) fn assign(
        &self,
        namespace: &str,
        own: &Resident,
        others: &[Resident],
        targets: &BTreeSet<u16>,
        had_pool: bool,
        now: Instant,
    ) -> Assignment {
        let mut ledgers = self.lock();
        let ledger = ledgers.entry(namespace.to_owned()).or_default();
        refresh(ledger, own, others, now);
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
        if had_pool && let Some(left) = REST.checked_sub(age).filter(|left| !left.is_zero()) {
            return Assignment::Later(left);
        }
        let taken: HashSet<u16> = others.iter().filter_map(|other| other.port).collect();
        let free = |port: &u16| {
            !ledger.contains_key(port) && !taken.contains(port) && !targets.contains(port)
        };
        let Some(port) = POOL_PORTS.into_iter().find(free) else {
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
fn refresh(ledger: &mut Ledger, own: &Resident, others: &[Resident], now: Instant) {
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
        now.saturating_duration_since(left) < REST
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
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

    use super::{Assignment, PoolPorts, REST, Resident};

    const FIRST: u16 = 10_000;

    fn resident(uid: &str, created: i64, port: Option<u16>) -> Resident {
        Resident {
            name: uid.to_owned(),
            uid: uid.to_owned(),
            created,
            port,
        }
    }

    /// Ports of an operator that started long ago.
    struct Test {
        ports: PoolPorts,
        now: Instant,
    }

    impl Test {
        fn new() -> Self {
            let started = Instant::now();
            Self {
                ports: PoolPorts::new(started),
                now: started + 2 * REST,
            }
        }

        fn assign(&self, own: &Resident, others: &[Resident]) -> Assignment {
            self.assign_with(own, others, &BTreeSet::new())
        }

        fn assign_with(
            &self,
            own: &Resident,
            others: &[Resident],
            targets: &BTreeSet<u16>,
        ) -> Assignment {
            self.ports
                .assign("ns", own, others, targets, true, self.now)
        }
    }

    #[test]
    fn the_smallest_free_port_is_assigned() {
        fn check(others: &[u16], targets: &[u16], expected: Assignment) {
            let others: Vec<Resident> = (0..)
                .zip(others)
                .map(|(number, port)| resident(&format!("o{number}"), number, Some(*port)))
                .collect();
            let targets = targets.iter().copied().collect();
            let own = resident("f", 9, None);
            assert_eq!(Test::new().assign_with(&own, &others, &targets), expected);
        }
        let port = Assignment::Port;
        check(&[], &[], port(FIRST));
        check(&[FIRST + 1], &[], port(FIRST));
        check(&[FIRST, FIRST + 2], &[], port(FIRST + 1));
        // The Service of a function that was just deleted is still there.
        check(&[FIRST], &[FIRST + 1], port(FIRST + 2));
        let all: Vec<u16> = (10_000..=29_999).collect();
        check(&all, &[], Assignment::Full);
        check(&all[1..], &[], port(FIRST));
    }

    #[test]
    fn a_function_keeps_its_port() {
        let test = Test::new();
        let own = resident("f", 1, Some(20_000));
        assert!(test.ports.claim("ns", "f", 20_000));
        assert_eq!(test.assign(&own, &[]), Assignment::Port(20_000));
        assert!(test.ports.claim("ns", "f", 20_000));
    }

    #[test]
    fn the_older_one_of_two_with_one_port_keeps_it() {
        fn check(own: (&str, i64), other: (&str, i64), expected: u16) {
            let test = Test::new();
            let other = resident(other.0, other.1, Some(FIRST));
            assert!(test.ports.claim("ns", &other.uid, FIRST));
            assert!(!test.ports.claim("ns", own.0, FIRST));
            let own = resident(own.0, own.1, Some(FIRST));
            let found = test.assign(&own, &[other]);
            assert_eq!(found, Assignment::Port(expected), "{own:?}");
        }
        check(("a", 1), ("b", 2), FIRST);
        check(("a", 2), ("b", 1), FIRST + 1);
        check(("a", 1), ("b", 1), FIRST);
        check(("b", 1), ("a", 1), FIRST + 1);
    }

    #[test]
    fn an_assignment_that_the_cache_does_not_show_is_not_repeated() {
        let test = Test::new();
        let (one, two) = (resident("one", 1, None), resident("two", 2, None));
        let both = |test: &Test| {
            (
                test.assign(&one, std::slice::from_ref(&two)),
                test.assign(&two, std::slice::from_ref(&one)),
            )
        };
        let expected = (Assignment::Port(FIRST), Assignment::Port(FIRST + 1));
        assert_eq!(both(&test), expected);
        assert_eq!(both(&test), expected);
        // Another namespace has ports of its own.
        let other = test
            .ports
            .assign("other", &one, &[], &BTreeSet::new(), false, test.now);
        assert_eq!(other, Assignment::Port(FIRST));
    }

    #[test]
    fn a_port_rests_after_its_function_has_left_it() {
        let mut test = Test::new();
        let before = resident("before", 1, Some(FIRST));
        let own = resident("f", 2, None);
        assert!(test.ports.claim("ns", "before", FIRST));
        // Deleted, or moved to pods of its own: in both cases the port is not used at once.
        for others in [vec![], vec![resident("before", 1, None)]] {
            assert_eq!(test.assign(&own, &others), Assignment::Port(FIRST + 1));
        }
        let moment = Duration::from_millis(1);
        test.now += REST.saturating_sub(moment);
        let next = resident("g", 3, None);
        let others = [resident("f", 2, Some(FIRST + 1))];
        assert_eq!(test.assign(&next, &others), Assignment::Port(FIRST + 2));
        test.now += moment;
        let last = resident("h", 4, None);
        let others = [others[0].clone(), resident("g", 3, Some(FIRST + 2))];
        assert_eq!(test.assign(&last, &others), Assignment::Port(FIRST));
        assert_eq!(before.port, Some(FIRST));
    }

    #[test]
    fn a_new_operator_waits_for_the_ports_that_it_cannot_know() {
        let started = Instant::now();
        let ports = PoolPorts::new(started);
        let own = resident("f", 1, None);
        let assign = |had_pool, after| {
            let now = started + after;
            ports.assign("ns", &own, &[], &BTreeSet::new(), had_pool, now)
        };
        let second = Duration::from_secs(1);
        assert_eq!(
            assign(true, second),
            Assignment::Later(REST.saturating_sub(second))
        );
        assert_eq!(assign(true, REST), Assignment::Port(FIRST));
        let ports = PoolPorts::new(started);
        let first = ports.assign("ns", &own, &[], &BTreeSet::new(), false, started);
        assert_eq!(first, Assignment::Port(FIRST));
    }
}
