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

    /// Adds guests. Returns how many ticks each function gets of so many.
    fn count(&mut self, more: &[(Member, usize)], ticks: usize) -> BTreeMap<FunctionId, usize> {
        for (member, count) in more {
            for _ in 0..*count {
                self.guests.push((*member, None));
                self.want(self.guests.len() - 1);
            }
        }
        let mut counts = BTreeMap::new();
        for _ in 0..ticks {
            for id in self.tick() {
                *counts.entry(id).or_default() += 1;
            }
        }
        counts
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
fn a_function_with_all_slots_that_it_wants_holds_nothing_up() {
    let (small, greedy, new) = (member(0, 100), member(1, 100), member(2, 100));
    let check = |all: usize, more: (Member, usize), expected: &[usize]| {
        let mut loops = Loops::start(Slots { common: 4, all }, &[small]);
        let before = loops.count(&[(greedy, 50)], 1000);
        assert!(before[&0].abs_diff(1000) <= 20, "{before:?}");
        let counts = loops.count(&[more], 1000);
        for (found, expected) in counts.values().zip(expected) {
            assert!(found.abs_diff(*expected) <= 20, "{counts:?} with {more:?}");
        }
        assert_eq!(counts.len(), expected.len());
    };
    for all in [4, 7] {
        check(all, (new, 50), &[1000, 1500, 1500]);
        // It begins to want more.
        check(all, (small, 50), &[2000, 2000]);
        check(all, (small, 1), &[2000, 2000]);
    }
}

#[test]
fn a_function_that_wants_little_saves_nothing_up() {
    let small = member(0, 100);
    let mut loops = Loops::start(Slots { common: 4, all: 7 }, &[small]);
    loops.count(&[(member(1, 100), 50)], 1000);
    let more: Vec<_> = (2..10).map(|id| (member(id, 100), 10)).collect();
    let counts = loops.count(&more, 1000);
    assert!(
        counts.values().all(|count| count.abs_diff(400) <= 20),
        "{counts:?}"
    );
}

#[test]
fn what_functions_use_while_none_waits_is_forgotten() {
    let (light, even, new) = (member(0, 1), member(1, 100), member(2, 100));
    let mut loops = Loops::start(Slots { common: 4, all: 4 }, &[light, even]);
    for _ in 0..1000 {
        loops.tick();
        assert!(loops.queue.tick().is_empty());
    }
    let counts = loops.count(&[(new, 50)], 1000);
    assert!(counts[&2] >= 2000, "{counts:?}");
    let counts = loops.count(&[(even, 49), (light, 50)], 1000);
    assert!(counts[&0] <= 60, "{counts:?}");
    assert!(counts[&1].abs_diff(counts[&2]) <= 60, "{counts:?}");
}

#[test]
fn a_function_keeps_its_precedence_over_one_of_less_weight() {
    let (light, heavy) = (member(0, 1), member(1, 100));
    let mut loops = Loops::start(Slots { common: 1, all: 3 }, &[light, light, heavy]);
    let mut other = 0;
    for _ in 0..200 {
        other += loops.count(&[], 10).get(&0).copied().unwrap_or(0);
        // A request that ends at once.
        loops.count(&[(heavy, 1)], 0);
        loops.stop(loops.guests.len() - 1);
        loops.guests.pop();
    }
    assert!(other <= 100, "the light function got {other} of 2000 slots");
}

#[test]
fn months_of_guest_time_do_not_end_the_order() {
    let (one, other) = (member(0, 1), member(1, 1));
    let mut loops = Loops::start(TWO, &[one, other]);
    for member in [one, other] {
        let months = Duration::from_hours(64 * 24 * 365);
        loops.queue.charge(member, months);
    }
    let counts = loops.count(&[(one, 5), (other, 5)], 500);
    assert!(counts[&0].abs_diff(500) <= 20, "{counts:?}");
}

#[test]
fn short_requests_get_additional_slots_in_their_order() {
    let (greedy, quiet) = (member(0, 100), [1, 2, 3].map(|id| member(id, 100)));
    let short = |member, ticket| Claim {
        member,
        ticket,
        is_long: false,
    };
    let mut queue = FairQueue::new(TWO);
    for _ in 0..2 {
        assert_eq!(queue.take(long(greedy, None), || 'g'), None);
    }
    assert!(queue.take(long(greedy, None), || 'g').is_some());
    assert_eq!(queue.take(short(quiet[0], None), || 'a'), None);
    let second = queue.take(short(quiet[1], None), || 'b');
    assert!(second.is_some());
    assert!(queue.take(short(quiet[1], None), || 'c').is_some());
    assert!(queue.take(short(quiet[2], None), || 'd').is_some());
    assert_eq!(queue.give_back(quiet[0], Duration::ZERO), ['b']);
    // The slot is for the guest that was called.
    assert!(queue.take(short(quiet[0], None), || 'e').is_some());
    assert_eq!(queue.take(short(quiet[1], second), || 'b'), None);
    // One that ends a loop there waits for a common slot.
    assert_eq!(queue.renew(quiet[1], TICK), (None, vec!['e']));
}

#[test]
fn a_newer_request_of_a_function_does_not_overtake() {
    let (greedy, ahead) = (member(0, 100), member(1, 100));
    let short = |ticket| Claim {
        member: ahead,
        ticket,
        is_long: false,
    };
    let mut queue = FairQueue::new(TWO);
    for _ in 0..2 {
        assert_eq!(queue.take(long(greedy, None), || 'g'), None);
    }
    assert!(queue.take(long(greedy, None), || 'g').is_some());
    queue.charge(ahead, TICK * 4);
    let first = queue.take(short(None), || 'a');
    assert!(first.is_some());
    // It may have an additional slot from now on.
    queue.charge(greedy, TICK * 3);
    assert!(queue.take(short(None), || 'b').is_some());
    assert_eq!(queue.tick(), ['a']);
    assert_eq!(queue.take(short(first), || 'a'), None);
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
