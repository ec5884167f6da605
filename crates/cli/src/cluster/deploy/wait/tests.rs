//! Tests of waits, as sequences of observations.

use super::*;
use crate::cluster::function::tests::{ConditionRow, function};

const ACCEPTED: ConditionRow<'static> = ("Accepted", "True", "Valid", "", 2);
const READY: ConditionRow<'static> = ("Ready", "True", "AllReady", "", 2);
const COMPLETE: ConditionRow<'static> = ("Progressing", "False", "Complete", "", 2);
const STARTING: ConditionRow<'static> = ("Ready", "False", "Starting", "", 2);

/// Checks the states after a sequence of observations, each with its time in seconds.
fn check(observations: &[(u64, i64, &[ConditionRow<'_>])], expected: &[&str]) {
    let begun = Instant::now();
    let mut wait = Wait::new(&function(2, &[]), begun);
    let mut states = Vec::new();
    for (second, generation, conditions) in observations {
        let function = function(*generation, conditions);
        let step = wait.observe(Some(&function), begun + Duration::from_secs(*second));
        states.push(match step {
            WaitState::Waiting { text, again } => {
                let again = again.map(|again| again.duration_since(begun).as_secs());
                format!("goes {text} {again:?}")
            }
            WaitState::Ended(Outcome::Ready(_)) => "ready".to_owned(),
            WaitState::Ended(Outcome::Failed {
                reason, message, ..
            }) => format!("failed {reason}: {message}"),
            WaitState::Ended(Outcome::Late { .. }) => panic!("time is not judged here"),
        });
    }
    assert_eq!(states, expected);
}

#[test]
fn an_older_ready_does_not_count() {
    let old = [
        ("Accepted", "True", "Valid", "", 1),
        ("Ready", "True", "AllReady", "", 1),
        ("Progressing", "False", "Complete", "", 1),
    ];
    check(
        &[
            (0, 2, &old),
            (10, 2, &old),
            (11, 2, &[ACCEPTED, READY, old[2]]),
            (12, 2, &[ACCEPTED, READY, COMPLETE]),
        ],
        &[
            "goes waiting for the operator Some(10)",
            "goes still waiting for the operator: does it run? None",
            "goes still waiting for the operator: does it run? None",
            "ready",
        ],
    );
}

#[test]
fn a_later_generation_counts_as_well() {
    let later = |(kind, status, reason, message, _)| (kind, status, reason, message, 3);
    check(
        &[(0, 3, &[ACCEPTED, READY, COMPLETE].map(later))],
        &["ready"],
    );
}

#[test]
fn pods_from_before_do_not_end_it() {
    let rolling = ("Progressing", "True", "RollingOut", "1 of 2 pods", 2);
    check(
        &[
            (0, 2, &[ACCEPTED, READY, rolling]),
            (1, 2, &[ACCEPTED, READY, COMPLETE]),
        ],
        &["goes RollingOut: 1 of 2 pods None", "ready"],
    );
}

#[test]
fn no_pods_are_as_asked_for_when_none_were() {
    let zero = ("Ready", "False", "ScaledToZero", "", 2);
    check(&[(0, 2, &[ACCEPTED, zero, COMPLETE])], &["ready"]);
    check(
        &[(0, 2, &[ACCEPTED, STARTING, COMPLETE])],
        &["goes Complete:  None"],
    );
}

#[test]
fn permanent_failures_end_the_wait_at_once() {
    let accepted = ("Accepted", "False", "Invalid", "spec.env[0]: no", 2);
    let progressing = ("Progressing", "False", "Invalid", "see Accepted", 2);
    check(
        &[(0, 2, &[accepted, STARTING, progressing])],
        &["failed Invalid: spec.env[0]: no"],
    );
    for reason in [
        "InvalidImageName",
        "NameTaken",
        "Forbidden",
        "DeadlineExceeded",
    ] {
        let progressing = ("Progressing", "False", reason, "m", 2);
        let expected = format!("failed {reason}: m");
        check(&[(0, 2, &[ACCEPTED, STARTING, progressing])], &[&expected]);
    }
}

#[test]
fn persistent_failures_have_a_grace_period() {
    let pull = ("Progressing", "False", "ImagePullFailed", "m", 2);
    check(
        &[
            (3, 2, &[ACCEPTED, STARTING, pull]),
            (12, 2, &[ACCEPTED, STARTING, pull]),
            (13, 2, &[ACCEPTED, STARTING, pull]),
        ],
        &[
            "goes ImagePullFailed: m Some(13)",
            "goes ImagePullFailed: m Some(13)",
            "failed ImagePullFailed: m",
        ],
    );
    check(
        &[
            (3, 2, &[ACCEPTED, STARTING, pull]),
            (20, 2, &[ACCEPTED, READY, COMPLETE]),
        ],
        &["goes ImagePullFailed: m Some(13)", "ready"],
    );
}

#[test]
fn a_crash_that_looks_well_in_between_is_one_failure() {
    let crash = ("Progressing", "False", "CrashLoop", "m", 2);
    let rolling = ("Progressing", "True", "RollingOut", "m", 2);
    check(
        &[
            (0, 2, &[ACCEPTED, STARTING, crash]),
            (5, 2, &[ACCEPTED, STARTING, rolling]),
            (11, 2, &[ACCEPTED, STARTING, crash]),
        ],
        &[
            "goes CrashLoop: m Some(10)",
            "goes RollingOut: m None",
            "failed CrashLoop: m",
        ],
    );
}

#[test]
fn a_cluster_that_grows_is_waited_for() {
    for reason in [
        "Unschedulable",
        "NotAdmitted",
        "PodSetupFailed",
        "FromTheFuture",
    ] {
        let progressing = ("Progressing", "False", reason, "m", 2);
        let expected = format!("goes {reason}: m None");
        check(&[(60, 2, &[ACCEPTED, STARTING, progressing])], &[&expected]);
    }
}

#[test]
fn a_function_that_is_gone_ends_it() {
    let begun = Instant::now();
    let step = Wait::new(&function(2, &[]), begun).observe(None, begun);
    assert!(
        matches!(&step, WaitState::Ended(Outcome::Failed { reason, .. }) if reason == "Deleted"),
        "{step:?}"
    );
}

#[test]
fn a_late_outcome_has_the_last_state() {
    let wait = Wait::new(&function(2, &[]), Instant::now());
    let check = |function: &ClusterFunction, observed_expected: bool, part: &str| match wait
        .late(Some(function))
    {
        Outcome::Late {
            message, observed, ..
        } => {
            assert_eq!(observed, observed_expected);
            assert!(message.contains(part), "{message}");
        }
        other => panic!("{other:?}"),
    };
    check(&function(2, &[]), false, "operator has not");
    let waits = ("Progressing", "False", "Unschedulable", "0 of 3 nodes", 2);
    check(
        &function(2, &[ACCEPTED, STARTING, waits]),
        true,
        "0 of 3 nodes",
    );
}

#[test]
fn the_last_observation_of_a_function_that_is_not_ready_is_diagnosed() {
    let (applied, last) = (function(1, &[]), function(2, &[]));
    let wait = Wait::new(&applied, Instant::now());
    let late = wait.late(Some(&last));
    assert_eq!(late.not_ready(&applied), Some(&last));
    assert_eq!(wait.late(None).not_ready(&applied), Some(&applied));
    let ready = Outcome::Ready(Box::new(last));
    assert_eq!(ready.not_ready(&applied), None);
}
