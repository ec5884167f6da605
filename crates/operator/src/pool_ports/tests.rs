//! Tests of the assignment of ports.

use std::time::{Duration, Instant};

use super::{Assignment, PoolPorts, REST, Resident};
use crate::port_use::{PortUse, ServedPorts};

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
        self.assign_with(own, others, &PortUse::default())
    }

    fn assign_with(&self, own: &Resident, others: &[Resident], in_use: &PortUse) -> Assignment {
        let in_use = PortUse {
            has_pool: true,
            ..in_use.clone()
        };
        self.ports.assign("ns", own, others, &in_use, self.now)
    }
}

#[test]
fn the_smallest_free_port_is_assigned() {
    fn check(others: &[u16], targets: &[u16], expected: Assignment) {
        let others: Vec<Resident> = (0..)
            .zip(others)
            .map(|(number, port)| resident(&format!("o{number}"), number, Some(*port)))
            .collect();
        let in_use = PortUse {
            targets: targets.iter().copied().collect(),
            ..PortUse::default()
        };
        let own = resident("f", 9, None);
        assert_eq!(Test::new().assign_with(&own, &others, &in_use), expected);
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
        .assign("other", &one, &[], &PortUse::default(), test.now);
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
        let in_use = PortUse {
            has_pool: had_pool,
            ..PortUse::default()
        };
        ports.assign("ns", &own, &[], &in_use, now)
    };
    let second = Duration::from_secs(1);
    assert_eq!(
        assign(true, second),
        Assignment::Later(REST.saturating_sub(second))
    );
    assert_eq!(assign(true, REST), Assignment::Port(FIRST));
    let ports = PoolPorts::new(started);
    let first = ports.assign("ns", &own, &[], &PortUse::default(), started);
    assert_eq!(first, Assignment::Port(FIRST));
}

fn served(ports: &[u16], is_behind: bool, is_unknown: bool) -> PortUse {
    PortUse {
        served: ServedPorts {
            ports: ports.iter().copied().collect(),
            is_behind,
            is_unknown,
        },
        ..PortUse::default()
    }
}

/// A pod in back-off, or one that has lost the API server, serves on what it served.
#[test]
fn a_port_rests_while_a_pod_may_serve_it() {
    let mut test = Test::new();
    assert!(test.ports.claim("ns", "before", FIRST));
    let mut others = Vec::new();
    let mut check = |uid: &str, in_use: &PortUse, expected: u16| {
        let found = test.assign_with(&resident(uid, 2, None), &others, in_use);
        assert_eq!(found, Assignment::Port(expected), "{uid}");
        others.push(resident(uid, 2, Some(expected)));
        test.now += 2 * REST;
    };
    check(
        "its function leaves it",
        &served(&[FIRST], false, false),
        FIRST + 1,
    );
    check(
        "a pod serves it",
        &served(&[FIRST], false, false),
        FIRST + 2,
    );
    check("a pod restarts", &served(&[], true, false), FIRST + 3);
    check("no pod serves it", &served(&[], false, false), FIRST);
}

#[test]
fn a_port_that_only_a_report_shows_is_not_assigned() {
    let found = Test::new().assign_with(
        &resident("f", 1, None),
        &[],
        &served(&[FIRST, FIRST + 1], false, false),
    );
    assert_eq!(found, Assignment::Port(FIRST + 2));
}

#[test]
fn ports_that_an_unknown_pod_may_serve_are_avoided() {
    let in_use = served(&[], true, true);
    let mut found = Vec::new();
    for uid in ["a", "b", "c"] {
        let own = resident(uid, 1, None);
        let Assignment::Port(port) = Test::new().assign_with(&own, &[], &in_use) else {
            panic!("no port");
        };
        assert!(port >= 20_000, "{port}");
        found.push(port);
    }
    found.dedup();
    assert_eq!(found.len(), 3);
    // All ports are candidates.
    let others: Vec<Resident> = (10_001..=29_999)
        .map(|port| resident(&port.to_string(), 0, Some(port)))
        .collect();
    let own = resident("a", 1, None);
    let last = Test::new().assign_with(&own, &others, &in_use);
    assert_eq!(last, Assignment::Port(FIRST));
}
