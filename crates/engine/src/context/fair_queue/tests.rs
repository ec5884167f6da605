//! Tests of the order in which functions get slots.

use super::*;

const TICK: Duration = Duration::from_millis(5);
const TWO: Slots = Slots { common: 2, all: 3 };

/// A guest that has run before.
fn long(member: Member, ticket: Option<Ticket>) -> Claim {
    Claim {
        member,
        ticket,
        is_long: true,
    }
}

fn member(id: FunctionId, weight: u64) -> Member {
    Member { id, weight }
}

/// Guests with endless loops: each gives its slot back after a tick and wants another one at once.
struct Loops {
    queue: FairQueue<usize>,
    guests: Vec<(Member, Option<Ticket>)>,
    running: Vec<usize>,
}

impl Loops {
    fn start(slots: Slots, guests: &[Member]) -> Self {
        let mut loops = Self {
            queue: FairQueue::new(slots),
            guests: guests.iter().map(|member| (*member, None)).collect(),
            running: Vec::new(),
        };
        for index in 0..guests.len() {
            loops.want(index);
        }
        loops
    }

    fn want(&mut self, index: usize) {
        let (member, ticket) = self.guests[index];
        self.guests[index].1 = self.queue.take(long(member, ticket), || index);
        if self.guests[index].1.is_none() {
            self.running.push(index);
        }
    }

    fn stop(&mut self, index: usize) {
        self.running.retain(|running| *running != index);
        let (member, ticket) = self.guests[index];
        let called = match ticket {
            Some(ticket) => self.queue.leave(member.id, ticket),
            None => self.queue.give_back(member, Duration::ZERO),
        };
        for called in called {
            self.want(called);
        }
        self.guests[index].1 = None;
    }

    /// Runs every guest that has a slot for a tick. Returns the functions of these guests.
    fn tick(&mut self) -> Vec<FunctionId> {
        let running = std::mem::take(&mut self.running);
        for index in &running {
            let (ticket, called) = self.queue.renew(self.guests[*index].0, TICK);
            self.guests[*index].1 = ticket;
            for called in called {
                self.want(called);
            }
            self.want(*index);
        }
        running
            .iter()
            .map(|index| self.guests[*index].0.id)
            .collect()
    }
}

#[test]
fn functions_share_slots_by_their_weights_and_not_by_their_guests() {
    let check = |guests: &[(Member, usize)], expected: &[usize]| {
        let all: Vec<_> = guests
            .iter()
            .flat_map(|(member, count)| std::iter::repeat_n(*member, *count))
            .collect();
        let mut loops = Loops::start(TWO, &all);
        let mut ticks = vec![0; guests.len()];
        while ticks.iter().sum::<usize>() < 1000 {
            for id in loops.tick() {
                ticks[usize::try_from(id).expect("it is small")] += 1;
            }
        }
        for (found, expected) in ticks.iter().zip(expected) {
            assert!(found.abs_diff(*expected) <= 20, "{ticks:?} for {guests:?}");
        }
    };
    let (even, heavy) = (member(1, 100), member(1, 300));
    check(&[(member(0, 100), 50)], &[1000]);
    check(&[(member(0, 100), 50), (even, 2)], &[500, 500]);
    check(&[(member(0, 100), 50), (heavy, 5)], &[250, 750]);
    // One guest cannot use more than one slot.
    check(&[(member(0, 100), 50), (heavy, 1)], &[500, 500]);
}

#[test]
fn idleness_earns_no_credit() {
    let (busy, idle) = (member(0, 100), member(1, 100));
    let mut loops = Loops::start(TWO, &[busy, busy, busy, idle, idle]);
    loops.stop(3);
    loops.stop(4);
    for _ in 0..1000 {
        loops.tick();
    }
    loops.want(3);
    loops.want(4);
    let mut first = 0;
    for _ in 0..20 {
        first += loops.tick().iter().filter(|id| **id == 0).count();
    }
    assert!(first >= 15, "the busy function got {first} of 40 slots");
}

#[test]
fn a_function_without_a_slot_does_not_wait_for_another_ones_tick() {
    let (greedy, quiet) = (member(0, 100), member(1, 100));
    let mut queue = FairQueue::new(TWO);
    let mut take = |member, is_long| {
        let claim = Claim {
            member,
            ticket: None,
            is_long,
        };
        queue.take(claim, || ()).is_none()
    };
    assert!(take(greedy, false) && take(greedy, true));
    assert!(!take(greedy, false));
    assert!(!take(quiet, true));
    assert!(take(quiet, false));
    assert!(!take(quiet, false));
}

#[test]
fn a_slot_that_is_not_taken_goes_to_the_next_guest() {
    let one = member(0, 100);
    let mut queue = FairQueue::new(Slots { common: 1, all: 1 });
    assert_eq!(queue.take(long(one, None), || 'a'), None);
    let second = queue.take(long(one, None), || 'b');
    let third = queue.take(long(one, None), || 'c');
    assert!(second.is_some() && third.is_some());
    assert_eq!(queue.give_back(one, TICK), ['b']);
    assert!(!queue.is_idle());
    assert_eq!(queue.tick(), Vec::<char>::new());
    assert_eq!(queue.tick(), Vec::<char>::new());
    assert_eq!(queue.tick(), ['c']);
    // It comes too late, and waits in its old place.
    assert_eq!(queue.take(long(one, second), || 'b'), second);
    assert_eq!(queue.take(long(one, third), || 'c'), None);
    assert_eq!(queue.give_back(one, TICK), ['b']);
    assert_eq!(queue.take(long(one, second), || 'b'), None);
    assert_eq!(queue.give_back(one, TICK), Vec::<char>::new());
    assert!(queue.is_idle());
}

#[test]
fn a_guest_that_ends_while_it_waits_leaves_nothing_behind() {
    let one = member(0, 100);
    let mut queue = FairQueue::new(Slots { common: 1, all: 1 });
    assert_eq!(queue.take(long(one, None), || 'a'), None);
    let waiting = queue.take(long(one, None), || 'b').expect("it waits");
    let called = queue.take(long(one, None), || 'c').expect("it waits");
    assert_eq!(queue.leave(0, waiting), Vec::<char>::new());
    assert_eq!(queue.give_back(one, TICK), ['c']);
    assert_eq!(queue.leave(0, called), Vec::<char>::new());
    assert!(queue.is_idle() && queue.active.is_empty());
    assert_eq!(queue.take(long(one, None), || 'd'), None);
}
