//! Tests of the reports of pods.

use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use sampan_crd::pool_report::{PoolReport, PooledFunction, Serving};
use serde_json::json;

use super::{Cursor, FunctionReport, MAX_FAILURES, PodKey, PoolReports, Reach};

/// More functions than any test has.
const MOST: usize = 100;

/// Reports of one ready pod.
fn ready() -> PoolReports {
    let reports = PoolReports::default();
    assert!(reports.expect(&pod(), true));
    reports
}

fn pod() -> PodKey {
    PodKey {
        namespace: "ns".to_owned(),
        uid: "pod".to_owned(),
    }
}

fn function(name: &str, generation: i64) -> PooledFunction {
    PooledFunction {
        uid: format!("uid-{name}"),
        name: name.to_owned(),
        generation,
        serving: Some(Serving {
            generation,
            port: 10_000,
            digest: "sha256:0".to_owned(),
        }),
        ..PooledFunction::default()
    }
}

fn report(revision: u64, complete: bool, functions: &[PooledFunction]) -> PoolReport {
    PoolReport {
        boot: "boot".to_owned(),
        revision,
        complete,
        listed: true,
        functions: functions.to_vec(),
        removed: Vec::new(),
    }
}

#[test]
fn only_changes_touch_functions() {
    let reports = ready();
    let check = |report: PoolReport, expected: &[&str]| {
        let changed: Vec<String> = reports.record(&pod(), report, MOST).into_iter().collect();
        assert_eq!(changed, expected);
    };
    check(
        report(1, true, &[function("a", 1), function("b", 1)]),
        &["uid-a", "uid-b"],
    );
    check(report(1, false, &[]), &[]);
    let busy = PooledFunction {
        in_flight: 7,
        ..function("a", 1)
    };
    check(report(2, false, &[busy]), &[]);
    check(report(3, false, &[function("a", 2)]), &["uid-a"]);
    let mut removal = report(4, false, &[]);
    removal.removed.push("uid-b".to_owned());
    check(removal, &["uid-b"]);
    check(report(5, true, &[function("c", 1)]), &["uid-a", "uid-c"]);
    let found = reports.of(&pod(), "uid-c");
    assert_eq!(found.reach, Reach::Answers);
    assert_eq!(found.function, Some(function("c", 1)));
    assert_eq!(reports.of(&pod(), "uid-a").function, None);
}

#[test]
fn a_restarted_pod_is_asked_for_everything() {
    let reports = ready();
    assert_eq!(reports.cursor(&pod()), None);
    reports.record(&pod(), report(3, true, &[function("a", 1)]), MOST);
    let cursor = Cursor {
        boot: "boot".to_owned(),
        revision: 3,
    };
    assert_eq!(reports.cursor(&pod()), Some(cursor));
    let other = PoolReport {
        boot: "other".to_owned(),
        ..report(1, false, &[])
    };
    assert!(reports.record(&pod(), other, MOST).is_empty());
    assert_eq!(reports.cursor(&pod()), None);
    assert_eq!(reports.of(&pod(), "uid-a").reach, Reach::Unknown);
}

#[test]
fn a_pod_that_does_not_answer_keeps_its_report_and_stops_to_count() {
    let reports = ready();
    reports.record(&pod(), report(1, true, &[function("a", 1)]), MOST);
    for _ in 1..MAX_FAILURES {
        assert!(reports.fail(&pod()).is_empty());
        assert_eq!(reports.of(&pod(), "uid-a").reach, Reach::Answers);
    }
    assert_eq!(
        reports.fail(&pod()).into_iter().collect::<Vec<_>>(),
        ["uid-a"]
    );
    assert!(reports.fail(&pod()).is_empty());
    let silent = reports.of(&pod(), "uid-a");
    assert_eq!(silent.reach, Reach::Silent);
    assert!(silent.function.is_some());
    // It answers again, and nothing has changed.
    let changed = reports.record(&pod(), report(1, false, &[]), MOST);
    assert_eq!(changed.into_iter().collect::<Vec<_>>(), ["uid-a"]);
    assert_eq!(reports.of(&pod(), "uid-a").reach, Reach::Answers);
    reports.retain("ns", &HashSet::new());
    assert_eq!(reports.of(&pod(), "uid-a"), FunctionReport::default());
    // A poll that ends only now brings it back no more.
    reports.record(&pod(), report(2, true, &[function("a", 1)]), MOST);
    reports.fail(&pod());
    assert_eq!(reports.of(&pod(), "uid-a"), FunctionReport::default());
}

#[test]
fn the_port_of_a_served_function_is_not_free() {
    let at = |name: &str, port| PooledFunction {
        serving: Some(Serving {
            generation: 1,
            port,
            digest: String::new(),
        }),
        ..function(name, 1)
    };
    let reports = ready();
    let check = |report: PoolReport, expected: &[(u16, &str)]| {
        reports.record(&pod(), report, 1);
        let found: Vec<(u16, &str)> = (10_000..10_004)
            .flat_map(|port| ["a", "b"].map(|name| (port, name)))
            .filter(|(port, name)| {
                reports.serves_other("ns", *port, "")
                    && !reports.serves_other("ns", *port, &format!("uid-{name}"))
            })
            .collect();
        assert_eq!(found, expected);
    };
    // Also that of a function that the namespace does not have any more.
    check(
        report(1, true, &[at("a", 10_000), at("b", 10_001)]),
        &[(10_000, "a"), (10_001, "b")],
    );
    check(
        report(2, false, &[at("a", 10_002)]),
        &[(10_001, "b"), (10_002, "a")],
    );
    // A partial report of another start does not end it.
    let other = PoolReport {
        boot: "other".to_owned(),
        ..report(1, false, &[])
    };
    check(other, &[(10_001, "b"), (10_002, "a")]);
    let mut removal = report(3, true, &[at("b", 10_003)]);
    removal.boot = "other".to_owned();
    check(removal, &[(10_003, "b")]);
    assert!(!reports.serves_other("other", 10_003, ""));
}

#[test]
fn a_pod_that_has_not_listed_since_its_start_is_known() {
    let made = |address: Option<&str>, phase: &str| -> Vec<Arc<Pod>> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "uid": "pod" }, "status": { "podIP": address, "phase": phase },
        }))
        .expect("a pod");
        vec![Arc::new(pod)]
    };
    let running = made(Some("10.0.0.1"), "Running");
    let reports = PoolReports::default();
    assert!(reports.have_listed("ns", &[]));
    assert!(reports.have_listed("ns", &made(None, "Pending")));
    assert!(reports.have_listed("ns", &made(Some("10.0.0.1"), "Failed")));
    assert!(!reports.have_listed("ns", &running));
    reports.expect(&pod(), true);
    assert!(!reports.have_listed("ns", &running));
    reports.record(&pod(), report(1, true, &[]), MOST);
    assert!(reports.have_listed("ns", &running));
    for (complete, listed) in [(false, true), (true, false)] {
        let other = PoolReport {
            boot: format!("boot-{complete}"),
            listed,
            ..report(1, complete, &[])
        };
        reports.record(&pod(), other, MOST);
        assert!(!reports.have_listed("ns", &running));
    }
}

#[test]
fn a_pod_that_never_reports_the_whole_counts_as_silent() {
    let reports = ready();
    for start in 1..=MAX_FAILURES {
        assert_eq!(reports.of(&pod(), "uid-a").reach, Reach::Unknown);
        let partial = PoolReport {
            boot: start.to_string(),
            ..report(1, false, &[])
        };
        reports.record(&pod(), partial, MOST);
    }
    assert_eq!(reports.of(&pod(), "uid-a").reach, Reach::Silent);
}

#[test]
fn only_failures_of_ready_pods_count() {
    let reports = PoolReports::default();
    let reach = || reports.of(&pod(), "uid-a").reach;
    assert!(!reports.expect(&pod(), false));
    for _ in 0..=MAX_FAILURES {
        reports.fail(&pod());
    }
    assert_eq!(reach(), Reach::Unknown);
    assert!(reports.expect(&pod(), true));
    assert!(!reports.expect(&pod(), true));
    for _ in 0..=MAX_FAILURES {
        reports.fail(&pod());
    }
    assert_eq!(reach(), Reach::Silent);
    reports.expect(&pod(), false);
    assert_eq!(reach(), Reach::Silent);
    assert!(reports.expect(&pod(), true));
    assert_eq!(reach(), Reach::Unknown);
    // One that is not polled is not waited for.
    reports.ignore(&pod());
    assert_eq!(reach(), Reach::Silent);
    reports.expect(&pod(), true);
    assert_eq!(reach(), Reach::Unknown);
}

#[test]
fn what_is_kept_of_a_report_is_bounded() {
    let long = "x".repeat(10_000);
    let mut large = function("a", 1);
    large.name.clone_from(&long);
    large
        .serving
        .as_mut()
        .expect("it serves")
        .digest
        .clone_from(&long);
    let mut odd = function("b", 1);
    odd.uid.clone_from(&long);
    let reports = ready();
    let all = [large, odd, function("c", 1), function("d", 1)];
    let changed = reports.record(&pod(), report(1, true, &all), 2);
    assert_eq!(changed.into_iter().collect::<Vec<_>>(), ["uid-a", "uid-c"]);
    let kept = reports.of(&pod(), "uid-a").function.expect("a report");
    assert!(kept.name.len() + kept.serving.expect("it serves").digest.len() < 600);
}
