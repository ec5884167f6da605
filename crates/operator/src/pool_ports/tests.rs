//! Tests of the assignment of ports.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Service;
use serde_json::json;

use super::{Assignment, Claimant, PodsInput, PoolPorts, REST, UNKNOWN_RETRY, rest};
use crate::watched::WatchedFunction;

const FIRST: u16 = 10_000;
const LAST: u16 = 29_999;

/// A pooled function of the cache. Its UID is its name.
fn function(name: &str, created: i64, port: Option<u16>) -> WatchedFunction {
    let created = k8s_openapi::jiff::Timestamp::from_second(created).expect("a time");
    serde_json::from_value(json!({
        "apiVersion": "sampan.dev/v1alpha1", "kind": "WasmFunction",
        "metadata": {
            "name": name, "namespace": "ns", "uid": name, "creationTimestamp": created.to_string(),
        },
        "spec": { "image": "i", "placement": "Pooled" }, "status": { "poolPort": port },
    }))
    .expect("a function")
}

fn service(name: &str, port: u16) -> Service {
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "ns" },
        "spec": {
            "selector": { "sampan.dev/pool": "default" },
            "ports": [{ "name": "http", "port": 80, "targetPort": port }],
        },
    }))
    .expect("a Service")
}

/// Ports of an operator that started long ago.
struct Test {
    ports: PoolPorts,
    now: Instant,
    /// Ports at which a pod serves another function.
    served: Vec<u16>,
    all_listed: bool,
}

impl Test {
    fn new(functions: &[WatchedFunction]) -> Self {
        let started = Instant::now();
        let test = Self {
            ports: PoolPorts::new(started),
            now: started + 2 * REST,
            served: Vec::new(),
            all_listed: true,
        };
        test.ports.set_all(functions.iter(), test.now);
        test
    }

    fn set(&self, name: &str, created: i64, port: Option<u16>) {
        self.ports.set(&function(name, created, port), self.now);
    }

    fn try_assign(&self, own: &WatchedFunction) -> Assignment {
        let own = Claimant::of(own).expect("an identity");
        let pods = PodsInput {
            had_pool: true,
            all_listed: self.all_listed,
            serves_other: &|port| self.served.contains(&port),
        };
        self.ports.assign("ns", &own, &pods, self.now)
    }

    /// Assigns a port to a function that the cache shows without one.
    fn assign(&self, name: &str) -> u16 {
        let own = function(name, 9, None);
        self.ports.set(&own, self.now);
        match self.try_assign(&own) {
            Assignment::Port(port, others) if others.is_empty() => port,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn ports_are_assigned_one_after_the_other() {
    fn check(taken: &[u16], leads: &[u16], served: &[u16], expected: &[u16]) {
        let taken: Vec<WatchedFunction> = (0..)
            .zip(taken)
            .map(|(number, port)| function(&format!("o{number}"), number, Some(*port)))
            .collect();
        let mut test = Test::new(&taken);
        test.served = served.to_vec();
        let leads: Vec<Service> = leads.iter().map(|port| service("gone", *port)).collect();
        test.ports.set_services(leads.iter());
        let names = ["f", "g", "h"];
        let found: Vec<u16> = names.iter().map(|name| test.assign(name)).collect();
        assert_eq!(found, expected, "{taken:?}");
    }
    check(&[], &[], &[], &[FIRST, FIRST + 1, FIRST + 2]);
    // After the highest one that is known.
    check(&[FIRST + 7], &[], &[], &[FIRST + 8, FIRST + 9, FIRST + 10]);
    // The Service of a function that was deleted is still there.
    check(
        &[FIRST],
        &[FIRST + 1],
        &[],
        &[FIRST + 2, FIRST + 3, FIRST + 4],
    );
    // A pod still serves another function there.
    check(
        &[FIRST],
        &[],
        &[FIRST + 2],
        &[FIRST + 1, FIRST + 3, FIRST + 4],
    );
    // From the beginning again.
    check(&[FIRST + 1, LAST - 1], &[], &[], &[LAST, FIRST, FIRST + 2]);
}

#[test]
fn no_port_is_assigned_when_none_is_free() {
    let all: Vec<WatchedFunction> = (FIRST..=LAST)
        .map(|port| function(&format!("f-{port}"), 1, Some(port)))
        .collect();
    let test = Test::new(&all);
    let own = function("f", 9, None);
    test.ports.set(&own, test.now);
    assert_eq!(test.try_assign(&own), Assignment::Full);
    test.ports.remove(&all[5], test.now);
    assert_eq!(test.try_assign(&own), Assignment::Full);
    let test = Test {
        now: test.now + rest(test.ports.count("ns")),
        ..test
    };
    assert_eq!(test.assign("f"), FIRST + 5);
}

#[test]
fn a_function_keeps_its_port() {
    let own = function("f", 1, Some(20_000));
    let kept = Assignment::Port(20_000, Vec::new());
    let test = Test::new(std::slice::from_ref(&own));
    assert_eq!(test.try_assign(&own), kept);
    // A list that is behind shows it without a port, and its status was written meanwhile.
    test.set("f", 1, None);
    assert_eq!(test.try_assign(&own), kept);
    assert_eq!(test.assign("g"), 20_001);
    // Also one that the cache does not have.
    assert_eq!(Test::new(&[]).try_assign(&own), kept);
    let unknown = function("f", 1, None);
    let later = Assignment::Later(UNKNOWN_RETRY);
    assert_eq!(Test::new(&[]).try_assign(&unknown), later);
}

#[test]
fn the_older_one_of_two_with_one_port_keeps_it() {
    fn check(own: (&str, i64), other: (&str, i64), expected: u16, losers: &[&str]) {
        let own = function(own.0, own.1, Some(FIRST));
        let other = function(other.0, other.1, Some(FIRST));
        let test = Test::new(&[own.clone(), other]);
        let losers = losers.iter().map(|name| (*name).to_owned()).collect();
        let expected = Assignment::Port(expected, losers);
        assert_eq!(test.try_assign(&own), expected);
        assert_eq!(test.try_assign(&own), expected);
    }
    check(("a", 1), ("b", 2), FIRST, &["b"]);
    check(("a", 2), ("b", 1), FIRST + 1, &[]);
    check(("a", 1), ("b", 1), FIRST, &["b"]);
    check(("b", 1), ("a", 1), FIRST + 1, &[]);
}

#[test]
fn an_assignment_that_the_cache_does_not_show_is_not_repeated() {
    let test = Test::new(&[]);
    for _ in 0..2 {
        assert_eq!([test.assign("one"), test.assign("two")], [FIRST, FIRST + 1]);
    }
    // The cache shows it, and later that the function has left it.
    test.set("one", 9, Some(FIRST));
    test.set("one", 9, None);
    assert_eq!(test.assign("one"), FIRST + 2);
    // A deletion ends it as well.
    test.ports.remove(&function("two", 9, None), test.now);
    assert_eq!(test.assign("two"), FIRST + 3);
}

#[test]
fn a_port_rests_after_its_function_has_left_it() {
    let moment = Duration::from_millis(1);
    for deleted in [true, false] {
        let all: Vec<WatchedFunction> = (FIRST..=LAST)
            .map(|port| function(&format!("f-{port}"), 1, Some(port)))
            .collect();
        let mut test = Test::new(&all);
        let own = function("f", 9, None);
        test.ports.set(&own, test.now);
        if deleted {
            test.ports.remove(&all[0], test.now);
        } else {
            test.set("f-10000", 1, None);
        }
        test.now += rest(test.ports.count("ns")).saturating_sub(moment);
        assert_eq!(test.try_assign(&own), Assignment::Full);
        test.now += moment;
        // A pod that has not listed the functions since its start may serve what it served before.
        test.all_listed = false;
        assert_eq!(test.try_assign(&own), Assignment::Full);
        test.all_listed = true;
        // A pod whose watch is dead serves the former function.
        test.served = vec![FIRST];
        assert_eq!(test.try_assign(&own), Assignment::Full);
        test.served.clear();
        assert_eq!(test.assign("f"), FIRST);
    }
}

#[test]
fn a_list_shows_what_was_deleted_meanwhile() {
    let all = [function("f", 1, Some(FIRST)), function("g", 1, Some(LAST))];
    let mut test = Test::new(&all);
    test.ports
        .set_services([service("f", FIRST), service("g", LAST)].iter());
    test.ports.set_all(all[1..].iter(), test.now);
    test.now += rest(test.ports.count("ns"));
    assert_eq!(test.ports.name("ns", "f"), None);
    assert_eq!(test.ports.name("ns", "g").as_deref(), Some("g"));
    assert_eq!(test.ports.count("ns"), 1);
    assert_eq!(test.ports.names("ns"), ["g"]);
    assert_eq!(test.ports.names("other"), Vec::<String>::new());
    assert_eq!(
        test.ports.namespaces().into_iter().collect::<Vec<_>>(),
        ["ns"]
    );
    // Its Service is still there.
    assert_eq!(test.assign("a"), FIRST + 1);
    test.ports.set_services([service("g", LAST)].iter());
    test.ports.remove(&function("a", 9, None), test.now);
    test.ports.set_all([].into_iter(), test.now);
    assert!(test.ports.namespaces().is_empty());
    test.ports.remove_service(&service("g", LAST));
    test.ports.prune(test.now, |_| false);
    assert_eq!(test.ports.lock().len(), 1);
    test.ports.prune(test.now + REST, |_| true);
    assert_eq!(test.ports.lock().len(), 1);
    test.ports.prune(test.now + REST, |_| false);
    assert_eq!(test.ports.lock().len(), 0);
}

#[test]
fn a_port_rests_until_the_endpoints_of_all_functions_can_have_changed() {
    fn check(functions: usize, expected: Duration) {
        assert_eq!(rest(functions), expected, "{functions}");
    }
    check(0, Duration::from_secs(20));
    check(100, Duration::from_secs(25));
    check(20_000, Duration::from_mins(17));
}

#[test]
fn a_new_operator_waits_for_the_ports_that_it_cannot_know() {
    let started = Instant::now();
    let ports = PoolPorts::new(started);
    let own = function("f", 1, None);
    ports.set(&own, started);
    let assign = |had_pool, after| {
        let own = Claimant::of(&own).expect("an identity");
        let pods = PodsInput {
            had_pool,
            all_listed: true,
            serves_other: &|_| false,
        };
        ports.assign("ns", &own, &pods, started + after)
    };
    let second = Duration::from_secs(1);
    let later = Assignment::Later(REST.saturating_sub(second));
    assert_eq!(assign(true, second), later);
    let first = Assignment::Port(FIRST, Vec::new());
    assert_eq!(assign(false, second), first);
    assert_eq!(assign(true, REST), first);
}
