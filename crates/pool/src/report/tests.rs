//! Tests of reports and their revisions.

use futures_util::FutureExt as _;

use super::*;

fn reported(name: &str, generation: i64) -> Reported {
    Reported {
        name: name.to_owned(),
        generation,
        serving: None,
        failure: None,
    }
}

fn after(reports: &Reports, after: u64) -> Query {
    Query {
        boot: Some(reports.0.boot.clone()),
        after: Some(after),
        active: None,
    }
}

/// The names with their generations, sorted, and the removed functions.
fn shown(report: &PoolReport) -> (Vec<(String, i64)>, Vec<String>) {
    let functions = report.functions.iter();
    let mut functions: Vec<_> = functions
        .map(|function| (function.name.clone(), function.generation))
        .collect();
    functions.sort();
    (functions, report.removed.clone())
}

#[test]
fn a_report_has_what_changed_since_the_known_revision() {
    let reports = Reports::default();
    reports.set("1", reported("a", 1), None);
    reports.set("2", reported("b", 1), None);
    reports.set("1", reported("a", 2), None);
    reports.set("1", reported("a", 2), None);
    reports.set("3", reported("c", 1), None);
    reports.remove("2");
    reports.remove("2");
    let check = |query: &Query, complete: bool, functions: &[(&str, i64)], removed: &[&str]| {
        let report = reports.report(query);
        assert_eq!(
            (report.revision, report.complete),
            (5, complete),
            "{query:?}"
        );
        let functions: Vec<_> = functions
            .iter()
            .map(|(name, generation)| ((*name).to_owned(), *generation))
            .collect();
        let removed: Vec<_> = removed.iter().map(|uid| (*uid).to_owned()).collect();
        assert_eq!(shown(&report), (functions, removed), "{query:?}");
    };
    let all = &[("a", 2), ("c", 1)];
    check(&Query::default(), true, all, &[]);
    check(&after(&reports, 0), false, all, &["2"]);
    check(&after(&reports, 3), false, &[("c", 1)], &["2"]);
    check(&after(&reports, 4), false, &[], &["2"]);
    check(&after(&reports, 5), false, &[], &[]);
    // A revision that was never given is of another process.
    check(&after(&reports, 6), true, all, &[]);
    let boot = Some("other".to_owned());
    let other = Query {
        boot,
        after: Some(5),
        active: None,
    };
    check(&other, true, all, &[]);
}

#[test]
fn a_client_that_missed_too_many_removals_gets_everything() {
    let reports = Reports::default();
    for number in 0..=MAX_REMOVALS {
        let uid = number.to_string();
        reports.set(&uid, reported("a", 1), None);
        reports.remove(&uid);
    }
    assert!(reports.report(&after(&reports, 0)).complete);
    assert!(reports.report(&after(&reports, 1)).complete);
    let report = reports.report(&after(&reports, 2));
    assert_eq!(
        (report.complete, report.removed.len()),
        (false, MAX_REMOVALS)
    );
}

#[test]
fn a_client_waits_only_for_what_it_does_not_know() {
    let reports = Reports::default();
    reports.set("1", reported("a", 1), None);
    let is_ready = |query: &Query| reports.changed(query).now_or_never().is_some();
    let boot = Some("other".to_owned());
    assert!(is_ready(&Query::default()));
    assert!(is_ready(&Query {
        boot,
        after: Some(1),
        active: None,
    }));
    assert!(is_ready(&after(&reports, 0)));
    assert!(!is_ready(&after(&reports, 1)));
    reports.set_listed();
    assert!(is_ready(&after(&reports, 1)));
    assert!(!is_ready(&after(&reports, 2)));
    reports.set_listed();
    assert!(!is_ready(&after(&reports, 2)));
}

#[test]
fn queries_are_parsed() {
    let reports = Reports::default();
    let check = |text: &str, expected: Option<(Option<&str>, Option<u64>)>| {
        let parsed = Document::parse(&reports, text).ok();
        let expected = expected.map(|(boot, after)| Query {
            boot: boot.map(str::to_owned),
            after,
            active: None,
        });
        assert_eq!(parsed, expected, "{text}");
    };
    check("", Some((None, None)));
    check("boot=a&after=7", Some((Some("a"), Some(7))));
    check("after=7&boot=", Some((Some(""), Some(7))));
    check("after=x", None);
    check("after=", None);
    check("active=", None);
    check("active=-1", None);
    check("active=1.5", None);
    check("before=1", None);
    check("boot", None);
    let active = Document::parse(&reports, "active=70").map(|query| query.active);
    assert_eq!(active, Ok(Some(Duration::from_secs(70))));
}

#[test]
fn a_report_of_active_functions_leaves_out_idle_ones_and_does_not_wait() {
    let reports = Reports::default();
    reports.set("1", reported("never called", 1), None);
    reports.set("2", reported("idle", 1), Some(Arc::default()));
    let query = Query {
        active: Some(Duration::from_secs(70)),
        ..after(&reports, 2)
    };
    assert!(reports.changed(&query).now_or_never().is_some());
    let report = reports.report(&query);
    assert_eq!(shown(&report), (Vec::new(), Vec::new()));
    assert_eq!((report.complete, report.revision), (false, 2));
}
