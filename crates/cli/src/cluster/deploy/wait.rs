//! Decides whether a deployed function is ready, still becoming ready, or has failed.
//!
//! Pure: the caller passes observations and times. Conditions of an older generation are ignored,
//! so that an old Ready does not count for the new version.

use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use sampan_crd::{ConditionKind, Reason};

use crate::cluster::function::ClusterFunction;

/// How long a failure that may pass has to last. Registries fail briefly, and a Secret may be
/// created shortly after the function.
const FAILURE_GRACE: Duration = Duration::from_secs(10);

/// The longest time in which a working operator first handles a resource.
const OPERATOR_TIMEOUT: Duration = Duration::from_secs(10);

/// The state of a wait.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum WaitState {
    /// Observe again after a change, or at the latest at `again`.
    Waiting {
        /// The current state.
        text: String,
        /// When time alone may change the state.
        again: Option<Instant>,
    },
    /// The wait has ended.
    Ended(Outcome),
}

/// The outcome of a wait.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// Every pod runs the deployed version, and answers.
    Ready(Box<ClusterFunction>),
    /// It cannot become ready.
    Failed {
        /// The last observation.
        function: Option<Box<ClusterFunction>>,
        /// The condition's reason.
        reason: String,
        /// The condition's message.
        message: String,
    },
    /// The time was up.
    Late {
        /// The last observation.
        function: Option<Box<ClusterFunction>>,
        /// The last state.
        message: String,
        /// Whether the operator has handled it.
        observed: bool,
    },
}

/// The wait for one function.
#[derive(Debug)]
pub(super) struct Wait {
    generation: i64,
    begun: Instant,
    failing: Option<Instant>,
}

/// How permanent a reason for not being ready is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    /// It never passes by itself.
    Permanent,
    /// It seldom passes by itself.
    Persistent,
    /// It passes by itself, or the time runs out.
    Transient,
}

impl Wait {
    /// Starts to wait for the applied version.
    pub(super) fn new(applied: &ClusterFunction, now: Instant) -> Self {
        Self {
            generation: applied.generation,
            begun: now,
            failing: None,
        }
    }

    /// Evaluates an observation.
    pub(super) fn observe(
        &mut self,
        function: Option<&ClusterFunction>,
        now: Instant,
    ) -> WaitState {
        let Some(function) = function else {
            return WaitState::Ended(Outcome::Failed {
                function: None,
                reason: "Deleted".to_owned(),
                message: "it was deleted during the wait".to_owned(),
            });
        };
        let Some([accepted, ready, progressing]) = self.conditions(function) else {
            return self.waiting_for_operator(now);
        };
        if accepted.status == "False" {
            return failed(function, accepted);
        }
        let complete = progressing.reason == Reason::Complete.as_str();
        let to_zero = ready.reason == Reason::ScaledToZero.as_str();
        if complete && (ready.status == "True" || to_zero) {
            return WaitState::Ended(Outcome::Ready(Box::new(function.clone())));
        }
        let text = format!("{}: {}", progressing.reason, progressing.message);
        let severity = severity(&progressing.reason);
        if progressing.status == "True" || severity == Severity::Transient {
            return WaitState::Waiting { text, again: None };
        }
        // Counts from the first failure: a pod that crashes repeatedly looks ready in between.
        let until = *self.failing.get_or_insert(now) + FAILURE_GRACE;
        if severity == Severity::Permanent || now >= until {
            return failed(function, progressing);
        }
        let again = Some(until);
        WaitState::Waiting { text, again }
    }

    /// The outcome when the time is up.
    pub(super) fn late(&self, function: Option<&ClusterFunction>) -> Outcome {
        let conditions = function.and_then(|function| self.conditions(function));
        let message = match conditions {
            Some([_, _, progressing]) => format!("{}: {}", progressing.reason, progressing.message),
            None => "the operator has not looked at it".to_owned(),
        };
        Outcome::Late {
            function: function.cloned().map(Box::new),
            message,
            observed: conditions.is_some(),
        }
    }

    /// The conditions, if all of them refer to the applied generation or a later one.
    fn conditions<'a>(&self, function: &'a ClusterFunction) -> Option<[&'a Condition; 3]> {
        let current = |generation: Option<i64>| {
            generation.is_some_and(|observed| observed >= self.generation)
        };
        if !current(function.status.observed_generation) {
            return None;
        }
        let condition = |kind| {
            let condition = function.status.condition(kind)?;
            current(condition.observed_generation).then_some(condition)
        };
        Some([
            condition(ConditionKind::Accepted)?,
            condition(ConditionKind::Ready)?,
            condition(ConditionKind::Progressing)?,
        ])
    }

    fn waiting_for_operator(&self, now: Instant) -> WaitState {
        let until = self.begun + OPERATOR_TIMEOUT;
        let (text, again) = if now < until {
            ("waiting for the operator", Some(until))
        } else {
            ("still waiting for the operator: does it run?", None)
        };
        WaitState::Waiting {
            text: text.to_owned(),
            again,
        }
    }
}

fn failed(function: &ClusterFunction, condition: &Condition) -> WaitState {
    WaitState::Ended(Outcome::Failed {
        function: Some(Box::new(function.clone())),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
    })
}

/// An unknown reason, as of a newer operator, counts as transient.
fn severity(reason: &str) -> Severity {
    let known = Reason::ALL.iter().find(|known| known.as_str() == reason);
    match known {
        Some(
            Reason::Invalid
            | Reason::Rejected
            | Reason::InvalidImageName
            | Reason::DeadlineExceeded
            | Reason::Forbidden
            | Reason::NameTaken,
        ) => Severity::Permanent,
        Some(
            Reason::ImagePullFailed
            | Reason::StartFailed
            | Reason::ConfigurationMissing
            | Reason::CrashLoop
            | Reason::OutOfMemory,
        ) => Severity::Persistent,
        _ => Severity::Transient,
    }
}

#[cfg(test)]
mod tests {
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
}
