//! Order in which the guests of several functions get the processors: weighted fair queueing by virtual time.
//!
//! A function's virtual time is its guest time divided by its weight. A guest takes a slot for each poll. When all slots
//! are taken, guests wait, and a slot that becomes free goes to the function with the least virtual time. A function that
//! was idle starts at the floor, the virtual time that all active functions have reached, so idleness earns no credit.
//!
//! There are as many common slots as processors. A few more are for new guests of functions without any slot, so that a
//! short request does not wait for the end of another function's tick.
//!
//! This is a value without locks, clocks and wakers; [`super::fair_share`] has them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// The weight of a function without one.
const DEFAULT_WEIGHT: u64 = 100;

/// How far a function may be ahead of another one that waits, and still take a slot that is not common.
const SLACK: u64 = 10_000_000;

/// The ticks in which a guest that was called has to take its slot. Then the slot goes to another one: a task whose
/// client reads nothing may not poll its guest for long.
const TICKS_TO_TAKE: u64 = 2;

/// Names a function in a queue.
pub(super) type FunctionId = u64;

/// Names a guest in a queue. Tickets are in the order of arrival.
pub(super) type Ticket = u64;

/// The number of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slots {
    /// Those that any guest may take.
    pub(super) common: usize,
    /// All of them. The others are for new guests of functions without a slot.
    pub(super) all: usize,
}

/// A function as the queue knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) id: FunctionId,
    pub(super) weight: u64,
}

/// A guest that wants a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) member: Member,
    /// That of a guest that has waited before.
    pub(super) ticket: Option<Ticket>,
    /// Whether the guest was interrupted before, so that it is no short request.
    pub(super) is_long: bool,
}

/// The guests that hold slots, those that wait, and the virtual times. `W` wakes a waiting guest.
pub(super) struct FairQueue<W> {
    slots: Slots,
    taken: usize,
    ticks: u64,
    next_ticket: Ticket,
    /// The least virtual time of the active functions. It never falls.
    floor: u64,
    /// The functions with a guest that holds a slot or waits.
    active: HashMap<FunctionId, Active<W>>,
    /// The active functions by virtual time.
    order: BTreeSet<(u64, FunctionId)>,
    /// The virtual times of other functions that are ahead of the floor.
    ahead: HashMap<FunctionId, u64>,
    /// The guests that were given a slot and have not taken it yet, with the tick at which they were called.
    called: BTreeMap<Ticket, (FunctionId, u64)>,
}

struct Active<W> {
    time: u64,
    taken: usize,
    waiting: BTreeMap<Ticket, W>,
}

impl<W> FairQueue<W> {
    pub(super) fn new(slots: Slots) -> Self {
        Self {
            slots,
            taken: 0,
            ticks: 0,
            next_ticket: 0,
            floor: 0,
            active: HashMap::new(),
            order: BTreeSet::new(),
            ahead: HashMap::new(),
            called: BTreeMap::new(),
        }
    }

    /// Whether no guest waits or was called.
    pub(super) fn is_idle(&self) -> bool {
        self.called.is_empty() && self.active.values().all(|one| one.waiting.is_empty())
    }

    /// Takes a slot, or waits for one. Returns the ticket of a guest that waits.
    pub(super) fn take(&mut self, claim: Claim, waker: impl FnOnce() -> W) -> Option<Ticket> {
        let Claim {
            member,
            ticket,
            is_long,
        } = claim;
        if let Some(ticket) = ticket
            && self.called.remove(&ticket).is_some()
        {
            return None;
        }
        self.activate(member);
        let may_take = self.may_take(member.id, is_long);
        let active = self.active.get_mut(&member.id).expect("it is active");
        if may_take {
            if let Some(ticket) = ticket {
                active.waiting.remove(&ticket);
            }
            active.taken += 1;
            self.taken += 1;
            return None;
        }
        let ticket = ticket.unwrap_or(self.next_ticket);
        self.next_ticket = self.next_ticket.max(ticket + 1);
        active.waiting.insert(ticket, waker());
        Some(ticket)
    }

    /// Gives a slot back after a poll that took so long. Returns the guests that are called.
    pub(super) fn give_back(&mut self, member: Member, spent: Duration) -> Vec<W> {
        self.charge(member, spent);
        self.free(member.id);
        self.call()
    }

    /// Ends a poll that took so long, of a guest that wants to go on. It keeps its slot while no other one has precedence,
    /// and has a ticket then. Returns the guests that are called otherwise.
    pub(super) fn renew(&mut self, member: Member, spent: Duration) -> (Option<Ticket>, Vec<W>) {
        self.charge(member, spent);
        let time = self.active.get(&member.id).map_or(u64::MAX, |one| one.time);
        let first = self.first_waiting();
        if self.taken > self.slots.common || first.is_some_and(|(least, _)| least <= time) {
            self.free(member.id);
            return (None, self.call());
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.called.insert(ticket, (member.id, self.ticks));
        (Some(ticket), Vec::new())
    }

    /// Adds processor time to a function's account.
    pub(super) fn charge(&mut self, member: Member, spent: Duration) {
        let spent = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        let virtual_time = spent.saturating_mul(DEFAULT_WEIGHT) / member.weight.max(1);
        if let Some(active) = self.active.get_mut(&member.id) {
            self.order.remove(&(active.time, member.id));
            active.time = active.time.saturating_add(virtual_time);
            self.order.insert((active.time, member.id));
            self.raise_floor();
        } else {
            let time = self.ahead.entry(member.id).or_insert(self.floor);
            *time = (*time).max(self.floor).saturating_add(virtual_time);
        }
    }

    /// Removes a guest that has ended or must not run. Returns the guests that are called in its place.
    pub(super) fn leave(&mut self, id: FunctionId, ticket: Ticket) -> Vec<W> {
        if self.called.remove(&ticket).is_some() {
            self.free(id);
        } else if let Some(active) = self.active.get_mut(&id) {
            active.waiting.remove(&ticket);
            self.deactivate_unused(id);
        }
        self.call()
    }

    /// Passes slots on that were not taken in time. Returns the guests that are called.
    pub(super) fn tick(&mut self) -> Vec<W> {
        self.ticks += 1;
        let late: Vec<(Ticket, FunctionId)> = self
            .called
            .iter()
            .filter(|(_, (_, tick))| self.ticks - tick > TICKS_TO_TAKE)
            .map(|(ticket, (id, _))| (*ticket, *id))
            .collect();
        for (ticket, id) in late {
            self.called.remove(&ticket);
            self.free(id);
        }
        let floor = self.floor;
        self.ahead.retain(|_, time| *time > floor);
        self.call()
    }

    fn activate(&mut self, member: Member) {
        let Self {
            active,
            ahead,
            order,
            floor,
            ..
        } = self;
        active.entry(member.id).or_insert_with(|| {
            let time = ahead.remove(&member.id).unwrap_or(0).max(*floor);
            order.insert((time, member.id));
            Active {
                time,
                taken: 0,
                waiting: BTreeMap::new(),
            }
        });
    }

    fn deactivate_unused(&mut self, id: FunctionId) {
        let is_unused = |active: &Active<W>| active.taken == 0 && active.waiting.is_empty();
        if !self.active.get(&id).is_some_and(is_unused) {
            return;
        }
        if let Some(active) = self.active.remove(&id) {
            self.order.remove(&(active.time, id));
            if active.time > self.floor {
                self.ahead.insert(id, active.time);
            }
            self.raise_floor();
        }
    }

    fn raise_floor(&mut self) {
        if let Some((least, _)) = self.order.first() {
            self.floor = self.floor.max(*least);
        }
    }

    /// Whether a guest of this function may take a slot now.
    fn may_take(&self, id: FunctionId, is_long: bool) -> bool {
        let Some(active) = self.active.get(&id) else {
            return false;
        };
        if self.taken < self.slots.common {
            return true;
        }
        let is_ahead = || {
            let first = self.first_waiting();
            first.is_some_and(|(least, _)| least.saturating_add(SLACK) < active.time)
        };
        !is_long && self.taken < self.slots.all && active.taken == 0 && !is_ahead()
    }

    /// The function with the least virtual time of those with a guest that waits, and that time.
    fn first_waiting(&self) -> Option<(u64, FunctionId)> {
        let mut order = self.order.iter();
        let first = order.find(|(_, id)| {
            let active = self.active.get(id);
            active.is_some_and(|active| !active.waiting.is_empty())
        });
        first.copied()
    }

    fn free(&mut self, id: FunctionId) {
        self.taken = self.taken.saturating_sub(1);
        if let Some(active) = self.active.get_mut(&id) {
            active.taken = active.taken.saturating_sub(1);
            self.deactivate_unused(id);
        }
    }

    /// Gives free common slots to waiting guests: to the function with the least virtual time, and there to the first one.
    fn call(&mut self) -> Vec<W> {
        let mut wakers = Vec::new();
        while self.taken < self.slots.common {
            let Some((_, id)) = self.first_waiting() else {
                break;
            };
            let active = self.active.get_mut(&id).expect("it is active");
            let (ticket, waker) = active.waiting.pop_first().expect("a guest waits");
            active.taken += 1;
            self.taken += 1;
            self.called.insert(ticket, (id, self.ticks));
            wakers.push(waker);
        }
        wakers
    }
}

#[cfg(test)]
mod tests;
