//! Order in which the guests of several functions get the processors: weighted fair queueing by virtual time.
//!
//! A function's virtual time is its guest time divided by its weight. A guest takes a slot for each poll. When all slots
//! are taken, guests wait, and a slot that becomes free goes to the function with the least virtual time. A function that
//! was idle starts at the floor, the virtual time of the functions that wait, so idleness earns no credit. Neither does a
//! function that has every slot that it wants: the floor leaves it behind, and it is lifted to the floor.
//!
//! There are as many common slots as processors. A few more are for short requests of functions without any slot, so that
//! they do not wait for the end of another function's tick.
//!
//! This is a value without locks, clocks and wakers; [`super::fair_share`] has them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// The weight of a function without one.
const DEFAULT_WEIGHT: u128 = 100;

/// Nanoseconds of guest time, times 100 and divided by a weight. 64 bits are too few for a month at the least weight.
type VirtualTime = u128;

/// How far a function may be ahead of another one that waits, and still take a slot that is not common.
const SLACK: u128 = 10_000_000;

/// The ticks in which a guest that was called has to take its slot. Then the slot goes to another one: the
/// task of a client that reads nothing may not poll its guest for long.
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
    /// The virtual time from which a function starts. It never falls, and no function that waits is below it.
    floor: VirtualTime,
    /// The functions with a guest that holds a slot or waits.
    active: HashMap<FunctionId, Active<W>>,
    /// The functions with a guest that waits, by virtual time.
    waiting: BTreeSet<(VirtualTime, FunctionId)>,
    /// Those of them without a slot and with a short request, which may take an additional slot.
    short: BTreeSet<(VirtualTime, FunctionId)>,
    /// Whether a guest has waited since the last tick.
    has_waited: bool,
    /// The virtual times of other functions that are ahead of the floor.
    ahead: HashMap<FunctionId, VirtualTime>,
    /// The guests that were given a slot and have not taken it yet, with the tick at which they were called.
    called: BTreeMap<Ticket, (FunctionId, u64)>,
}

struct Active<W> {
    time: VirtualTime,
    /// The virtual time of its longest polls lately.
    step: VirtualTime,
    taken: usize,
    waiting: BTreeMap<Ticket, W>,
    /// The guests of these that were not interrupted before.
    short: BTreeSet<Ticket>,
}

impl<W> Active<W> {
    fn remove(&mut self, ticket: Ticket) -> Option<W> {
        self.short.remove(&ticket);
        self.waiting.remove(&ticket)
    }

    fn charge(&mut self, spent: VirtualTime) {
        self.time = self.time.saturating_add(spent);
        self.step = spent.max(self.step - self.step / 8);
    }
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
            waiting: BTreeSet::new(),
            short: BTreeSet::new(),
            has_waited: false,
            ahead: HashMap::new(),
            called: BTreeMap::new(),
        }
    }

    /// Whether no guest waits or was called.
    pub(super) fn is_idle(&self) -> bool {
        self.called.is_empty() && self.waiting.is_empty()
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
        self.activate(member.id);
        if self.may_take(member.id, ticket, is_long) {
            self.taken += 1;
            self.change(member.id, |active| {
                if let Some(ticket) = ticket {
                    active.remove(ticket);
                }
                active.taken += 1;
            });
            return None;
        }
        let ticket = ticket.unwrap_or(self.next_ticket);
        self.next_ticket = self.next_ticket.max(ticket + 1);
        self.has_waited = true;
        let floor = self.floor;
        self.change(member.id, |active| {
            active.time = active.time.max(floor);
            active.waiting.insert(ticket, waker());
            if !is_long {
                active.short.insert(ticket);
            }
        });
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
        let time = self
            .active
            .get(&member.id)
            .map_or(VirtualTime::MAX, |one| one.time);
        let first = self.waiting.first();
        if self.taken > self.slots.common || first.is_some_and(|(least, _)| *least <= time) {
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
        let spent =
            spent.as_nanos().saturating_mul(DEFAULT_WEIGHT) / u128::from(member.weight.max(1));
        let floor = self.floor;
        if self.active.contains_key(&member.id) {
            self.change(member.id, |active| {
                active.time = active.time.max(floor);
                active.charge(spent);
            });
        } else {
            let time = self.ahead.entry(member.id).or_insert(floor);
            *time = (*time).max(floor).saturating_add(spent);
        }
    }

    /// Removes a guest that has ended or must not run. Returns the guests that are called in its place.
    pub(super) fn leave(&mut self, id: FunctionId, ticket: Ticket) -> Vec<W> {
        if self.called.remove(&ticket).is_some() {
            self.free(id);
        } else {
            self.change(id, |active| drop(active.remove(ticket)));
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
        if !self.has_waited && self.waiting.is_empty() {
            // The processors were enough, so what each function has used of them is forgotten.
            let most = self.active.values().map(|one| self.start(one)).max();
            self.floor = self.floor.max(most.unwrap_or_default());
        }
        self.has_waited = !self.waiting.is_empty();
        let floor = self.floor;
        self.ahead.retain(|_, time| *time > floor);
        self.call()
    }

    fn activate(&mut self, id: FunctionId) {
        let Self {
            active,
            ahead,
            floor,
            ..
        } = self;
        active.entry(id).or_insert_with(|| Active {
            time: ahead.remove(&id).unwrap_or(0).max(*floor),
            step: 0,
            taken: 0,
            waiting: BTreeMap::new(),
            short: BTreeSet::new(),
        });
    }

    /// Changes an active function, and keeps the orders and the floor in step with it. One without any guest ends to be
    /// active.
    fn change<T>(&mut self, id: FunctionId, change: impl FnOnce(&mut Active<W>) -> T) -> Option<T> {
        let active = self.active.get_mut(&id)?;
        let before = (active.time, id);
        let changed = change(active);
        let after = (active.time, id);
        let (waits, has_slot, is_short) = (
            !active.waiting.is_empty(),
            active.taken > 0,
            !active.short.is_empty(),
        );
        self.waiting.remove(&before);
        self.short.remove(&before);
        if waits {
            self.waiting.insert(after);
        }
        if is_short && !has_slot {
            self.short.insert(after);
        }
        self.raise_floor();
        if !waits && !has_slot {
            self.active.remove(&id);
            if after.0 > self.floor {
                self.ahead.insert(id, after.0);
            }
        }
        Some(changed)
    }

    /// Raises the floor to the function that waits longest. A function that runs is behind that one while it has
    /// precedence, and must not be lifted then.
    fn raise_floor(&mut self) {
        if let Some((_, id)) = self.waiting.first()
            && let Some(first) = self.active.get(id)
        {
            self.floor = self.floor.max(self.start(first));
        }
    }

    /// The virtual time of a function before the polls that may end at once: others may be so far behind it.
    fn start(&self, active: &Active<W>) -> VirtualTime {
        let slots = u128::try_from(self.slots.all).unwrap_or(u128::MAX);
        let polls = active.step.saturating_mul(slots);
        active.time.saturating_sub(polls)
    }

    /// Whether a guest of this function may take a slot now.
    fn may_take(&self, id: FunctionId, ticket: Option<Ticket>, is_long: bool) -> bool {
        let Some(active) = self.active.get(&id) else {
            return false;
        };
        if self.taken < self.slots.common {
            return true;
        }
        let first = active.short.first().copied();
        let is_first = first.is_none() || first == ticket;
        !is_long
            && self.taken < self.slots.all
            && active.taken == 0
            && is_first
            && self.is_in_slack(active.time)
    }

    /// Whether a function of this virtual time may take an additional slot before those that wait for a common one.
    fn is_in_slack(&self, time: VirtualTime) -> bool {
        let first = self.waiting.first();
        first.is_none_or(|(least, _)| time <= least.saturating_add(SLACK))
    }

    fn free(&mut self, id: FunctionId) {
        self.taken = self.taken.saturating_sub(1);
        self.change(id, |active| active.taken = active.taken.saturating_sub(1));
    }

    /// Gives free slots to waiting guests: to the function with the least virtual time, and there to the first one. What
    /// is left of the additional slots goes to short requests in the same order.
    fn call(&mut self) -> Vec<W> {
        let mut wakers = Vec::new();
        while self.taken < self.slots.common {
            let Some((_, id)) = self.waiting.first().copied() else {
                return wakers;
            };
            wakers.extend(self.call_one(id, |active| active.waiting.keys().next().copied()));
        }
        while self.taken < self.slots.all
            && let Some((time, id)) = self.short.first().copied()
            && self.is_in_slack(time)
        {
            wakers.extend(self.call_one(id, |active| active.short.first().copied()));
        }
        wakers
    }

    /// Gives a slot to one of the function's waiting guests.
    fn call_one(
        &mut self,
        id: FunctionId,
        which: impl FnOnce(&Active<W>) -> Option<Ticket>,
    ) -> Option<W> {
        self.taken += 1;
        let (ticket, waker) = self
            .change(id, |active| {
                active.taken += 1;
                let ticket = which(active).expect("a guest waits");
                (ticket, active.remove(ticket))
            })
            .expect("it is active");
        self.called.insert(ticket, (id, self.ticks));
        waker
    }
}

#[cfg(test)]
mod tests;
