//! The ports of one namespace's pool: which functions have them, and which Services lead to them.
//!
//! Each change costs the same however many functions there are.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Instant;

use sampan_crd::POOL_PORTS;

use super::{Claimant, rest};

/// The ports of one namespace.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The functions that need the pool, by UID.
    functions: HashMap<String, Function>,
    /// Every port that is not free.
    ports: BTreeMap<u16, PortUse>,
    /// The ports that Services lead to, by the Service's name.
    services: HashMap<String, u16>,
    /// Ports without a function, in the order in which they lost it.
    resting: VecDeque<(Instant, u16)>,
    /// The last assigned port.
    last: Option<u16>,
}

#[derive(Debug)]
struct Function {
    name: String,
    created: i64,
    /// The port in its status, as the cache has it.
    shown: Option<u16>,
    /// A port that was assigned, and that the cache does not show yet.
    pending: Option<u16>,
}

/// Why a port is not free.
#[derive(Debug, Default)]
struct PortUse {
    /// The functions that have it, the oldest first.
    holders: BTreeSet<Age>,
    /// The Services that lead to it.
    services: BTreeSet<String>,
    /// Since when no function has it, while it rests.
    left: Option<Instant>,
}

/// The order of functions: by the second of their creation, then by their UID.
type Age = (i64, String);

/// A function that is known to have, or to need, a port.
pub(super) enum Claim {
    /// The function is not known.
    Unknown,
    /// It has this port.
    Has(u16),
    /// It has none.
    None,
}

impl Ledger {
    /// Records a function as the cache has it now.
    pub(super) fn set(&mut self, function: Claimant, needs_pool: bool, now: Instant) {
        let Claimant {
            name,
            uid,
            created,
            port,
        } = function;
        let before = self.functions.get(&uid);
        let was_shown = before.and_then(|before| before.shown);
        let pending = before.and_then(|before| before.pending);
        let pending = pending.filter(|pending| Some(*pending) != port);
        if let Some(port) = port {
            self.hold(port, (created, uid.clone()));
        }
        if let Some(old) = was_shown
            && Some(old) != port
            && Some(old) != pending
        {
            self.leave(old, &(created, uid.clone()), now);
        }
        if port.is_none() && pending.is_none() && !needs_pool {
            self.functions.remove(&uid);
            return;
        }
        let function = Function {
            name,
            created,
            shown: port,
            pending,
        };
        self.functions.insert(uid, function);
    }

    /// Forgets a deleted function, whose ports rest from now on.
    pub(super) fn remove(&mut self, uid: &str, now: Instant) {
        let Some(function) = self.functions.remove(uid) else {
            return;
        };
        let age = (function.created, uid.to_owned());
        for port in [function.shown, function.pending].into_iter().flatten() {
            self.leave(port, &age, now);
        }
    }

    /// Forgets all functions but these.
    pub(super) fn retain(&mut self, there: &HashSet<String>, now: Instant) {
        let gone = self.functions.keys().filter(|uid| !there.contains(*uid));
        for uid in gone.cloned().collect::<Vec<_>>() {
            self.remove(&uid, now);
        }
    }

    /// Records the port that a Service leads to.
    pub(super) fn set_service(&mut self, name: &str, port: Option<u16>) {
        let before = match port {
            Some(port) => self.services.insert(name.to_owned(), port),
            None => self.services.remove(name),
        };
        if let Some(port) = port {
            let services = &mut self.ports.entry(port).or_default().services;
            services.insert(name.to_owned());
        }
        if let Some(before) = before.filter(|before| Some(*before) != port) {
            if let Some(port_use) = self.ports.get_mut(&before) {
                port_use.services.remove(name);
            }
            self.drop_if_free(before);
        }
    }

    /// Forgets all Services but these.
    pub(super) fn retain_services(&mut self, there: &HashSet<String>) {
        let gone = self.services.keys().filter(|name| !there.contains(*name));
        for name in gone.cloned().collect::<Vec<_>>() {
            self.set_service(&name, None);
        }
    }

    /// Finds the port of a function: the one in its status, unless an older function has it, or the
    /// one that was assigned before.
    pub(super) fn claim(&mut self, own: &Claimant, now: Instant) -> Claim {
        if !self.functions.contains_key(&own.uid) {
            return own.port.map_or(Claim::Unknown, Claim::Has);
        }
        let age = (own.created, own.uid.clone());
        if let Some(port) = own.port {
            let oldest = self.ports.get(&port).and_then(|port| port.holders.first());
            if oldest.is_none_or(|oldest| *oldest >= age) {
                if !self.holds(port, &age) {
                    // A list that is behind does not show it any more.
                    self.hold(port, age.clone());
                    let function = self.functions.get_mut(&own.uid);
                    let before = function.and_then(|it| it.pending.replace(port));
                    if let Some(before) = before {
                        self.leave(before, &age, now);
                    }
                }
                return Claim::Has(port);
            }
        }
        let function = self.functions.get(&own.uid);
        let pending = function.and_then(|function| function.pending);
        let pending = pending.filter(|pending| Some(*pending) != own.port);
        pending.map_or(Claim::None, Claim::Has)
    }

    /// Assigns the next free port. They are taken one after the other, so that a port is used again
    /// as late as possible.
    pub(super) fn assign(&mut self, uid: &str, free: impl Fn(u16) -> bool) -> Option<u16> {
        let known = || {
            self.ports
                .range(POOL_PORTS)
                .next_back()
                .map(|(port, _)| *port)
        };
        let (first, end) = (*POOL_PORTS.start(), *POOL_PORTS.end());
        let next = match self.last.or_else(known) {
            Some(last) if last < end => last + 1,
            _ => first,
        };
        let mut candidates = (next..=end).chain(first..next);
        let port = candidates.find(|port| !self.ports.contains_key(port) && free(*port))?;
        let function = self.functions.get_mut(uid)?;
        let age = (function.created, uid.to_owned());
        function.pending = Some(port);
        self.last = Some(port);
        self.hold(port, age);
        Some(port)
    }

    /// The names of the other functions that have a port.
    pub(super) fn others(&self, port: u16, uid: &str) -> Vec<String> {
        let holders = self.ports.get(&port).into_iter();
        let others = holders.flat_map(|port| &port.holders);
        let others = others.filter(|(_, other)| other != uid);
        others.filter_map(|(_, other)| self.name(other)).collect()
    }

    /// The name of a function that needs the pool.
    pub(super) fn name(&self, uid: &str) -> Option<String> {
        let function = self.functions.get(uid);
        function.map(|function| function.name.clone())
    }

    /// The names of the functions that need the pool.
    pub(super) fn names(&self) -> Vec<String> {
        let functions = self.functions.values();
        functions.map(|function| function.name.clone()).collect()
    }

    /// The number of functions that need the pool.
    pub(super) fn function_count(&self) -> usize {
        self.functions.len()
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.functions.is_empty() && self.ports.is_empty()
    }

    /// Frees the ports that have rested.
    pub(super) fn free_rested(&mut self, now: Instant) {
        let rest = rest(self.functions.len());
        while let Some((left, port)) = self.resting.front().copied() {
            if now.saturating_duration_since(left) < rest {
                return;
            }
            self.resting.pop_front();
            if let Some(port_use) = self.ports.get_mut(&port)
                && port_use.left == Some(left)
            {
                port_use.left = None;
                self.drop_if_free(port);
            }
        }
    }

    fn holds(&self, port: u16, age: &Age) -> bool {
        let port = self.ports.get(&port);
        port.is_some_and(|port| port.holders.contains(age))
    }

    fn hold(&mut self, port: u16, age: Age) {
        let port_use = self.ports.entry(port).or_default();
        port_use.holders.insert(age);
        port_use.left = None;
    }

    fn leave(&mut self, port: u16, age: &Age, now: Instant) {
        if let Some(port_use) = self.ports.get_mut(&port)
            && port_use.holders.remove(age)
            && port_use.holders.is_empty()
        {
            port_use.left = Some(now);
            self.resting.push_back((now, port));
        }
    }

    fn drop_if_free(&mut self, port: u16) {
        let free = self.ports.get(&port).is_some_and(|port| {
            port.holders.is_empty() && port.services.is_empty() && port.left.is_none()
        });
        if free {
            self.ports.remove(&port);
        }
    }
}
