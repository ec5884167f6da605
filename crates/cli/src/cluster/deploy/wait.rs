//! Whether a function is as it was asked for, still on its way, or cannot get there.
//!
//! Pure: it is told what was seen and when. Refuses a condition that speaks of an older generation, so that
//! yesterday's Ready is not taken for today's.

use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use sampan_crd::{ConditionKind, Reason};

use crate::cluster::seen::Seen;

/// How long a failure that the cluster tries to get over has to last. Registries hiccup, and the Secret may
/// come a moment after the function.
const GRACE: Duration = Duration::from_secs(10);

/// How long an operator that works needs at most to look at a resource.
const UNSEEN: Duration = Duration::from_secs(10);

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Look again when something changes, or at the latest then.
    Goes {
        /// How things stand.
        text: String,
        /// When time alone may change the answer.
        again: Option<Instant>,
    },
    /// Nothing is left to wait for.
    Over(Outcome),
}

/// How a wait ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// Every pod runs what was deployed, and answers.
    Ready(Box<Seen>),
    /// It cannot get there.
    Failed {
        /// What was seen last.
        seen: Option<Box<Seen>>,
        /// The word of the condition.
        reason: String,
        /// Its message.
        message: String,
    },
    /// There was not enough time.
    Late {
        /// What was seen last.
        seen: Option<Box<Seen>>,
        /// How far it came.
        message: String,
        /// Whether the operator looked at it at all.
        observed: bool,
    },
}

/// Waits for one function.
#[derive(Debug)]
pub(super) struct Wait {
    generation: i64,
    begun: Instant,
    failing: Option<Instant>,
}

/// How much a reason for not being ready weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// No waiting helps.
    Final,
    /// It may pass, but seldom does.
    Heavy,
    /// It passes, or time runs out.
    Light,
}

impl Wait {
    /// Waits for what was applied, from now on.
    pub(super) fn new(applied: &Seen, now: Instant) -> Self {
        Self {
            generation: applied.generation,
            begun: now,
            failing: None,
        }
    }

    /// Judges what was seen.
    pub(super) fn look(&mut self, seen: Option<&Seen>, now: Instant) -> Step {
        let Some(seen) = seen else {
            return Step::Over(Outcome::Failed {
                seen: None,
                reason: "Deleted".to_owned(),
                message: "somebody deleted it while it was waited for".to_owned(),
            });
        };
        let Some([accepted, ready, progressing]) = self.conditions(seen) else {
            return self.unseen(now);
        };
        if accepted.status == "False" {
            return failed(seen, accepted);
        }
        let complete = progressing.reason == Reason::Complete.as_str();
        let to_zero = ready.reason == Reason::ScaledToZero.as_str();
        if complete && (ready.status == "True" || to_zero) {
            return Step::Over(Outcome::Ready(Box::new(seen.clone())));
        }
        let text = format!("{}: {}", progressing.reason, progressing.message);
        let weight = weight(&progressing.reason);
        if progressing.status == "True" || weight == Weight::Light {
            return Step::Goes { text, again: None };
        }
        // It counts from the first time: a pod that crashes again and again looks well in between.
        let until = *self.failing.get_or_insert(now) + GRACE;
        if weight == Weight::Final || now >= until {
            return failed(seen, progressing);
        }
        let again = Some(until);
        Step::Goes { text, again }
    }

    /// What to say when there is no more time.
    pub(super) fn late(&self, seen: Option<&Seen>) -> Outcome {
        let conditions = seen.and_then(|seen| self.conditions(seen));
        let message = match conditions {
            Some([_, _, progressing]) => format!("{}: {}", progressing.reason, progressing.message),
            None => "the operator has not looked at it".to_owned(),
        };
        Outcome::Late {
            seen: seen.cloned().map(Box::new),
            message,
            observed: conditions.is_some(),
        }
    }

    /// The conditions, when all of them speak of what was applied or of what came after it.
    fn conditions<'a>(&self, seen: &'a Seen) -> Option<[&'a Condition; 3]> {
        let current =
            |generation: Option<i64>| generation.is_some_and(|seen| seen >= self.generation);
        if !current(seen.status.observed_generation) {
            return None;
        }
        let condition = |kind| {
            let condition = seen.status.condition(kind)?;
            current(condition.observed_generation).then_some(condition)
        };
        Some([
            condition(ConditionKind::Accepted)?,
            condition(ConditionKind::Ready)?,
            condition(ConditionKind::Progressing)?,
        ])
    }

    fn unseen(&self, now: Instant) -> Step {
        let until = self.begun + UNSEEN;
        let (text, again) = if now < until {
            ("waiting for the operator", Some(until))
        } else {
            ("still waiting for the operator: does it run?", None)
        };
        Step::Goes {
            text: text.to_owned(),
            again,
        }
    }
}

fn failed(seen: &Seen, condition: &Condition) -> Step {
    Step::Over(Outcome::Failed {
        seen: Some(Box::new(seen.clone())),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
    })
}

/// A word that a newer operator may have invented weighs little.
fn weight(reason: &str) -> Weight {
    let known = Reason::ALL.iter().find(|known| known.as_str() == reason);
    match known {
        Some(
            Reason::Invalid
            | Reason::Rejected
            | Reason::InvalidImageName
            | Reason::DeadlineExceeded
            | Reason::Forbidden
            | Reason::NameTaken,
        ) => Weight::Final,
        Some(
            Reason::ImagePullFailed
            | Reason::StartFailed
            | Reason::ConfigurationMissing
            | Reason::CrashLoop
            | Reason::OutOfMemory,
        ) => Weight::Heavy,
        _ => Weight::Light,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::seen::tests::{Told, seen};

    const ACCEPTED: Told<'static> = ("Accepted", "True", "Valid", "", 2);
    const READY: Told<'static> = ("Ready", "True", "AllReady", "", 2);
    const COMPLETE: Told<'static> = ("Progressing", "False", "Complete", "", 2);
    const STARTING: Told<'static> = ("Ready", "False", "Starting", "", 2);

    /// What is made of a sequence of sights, each with the second in which it comes.
    fn check(sights: &[(u64, i64, &[Told<'_>])], expected: &[&str]) {
        let begun = Instant::now();
        let mut wait = Wait::new(&seen(2, &[]), begun);
        let mut told = Vec::new();
        for (second, generation, conditions) in sights {
            let seen = seen(*generation, conditions);
            let step = wait.look(Some(&seen), begun + Duration::from_secs(*second));
            told.push(match step {
                Step::Goes { text, again } => {
                    let again = again.map(|again| again.duration_since(begun).as_secs());
                    format!("goes {text} {again:?}")
                }
                Step::Over(Outcome::Ready(_)) => "ready".to_owned(),
                Step::Over(Outcome::Failed {
                    reason, message, ..
                }) => format!("failed {reason}: {message}"),
                Step::Over(Outcome::Late { .. }) => panic!("time is not judged here"),
            });
        }
        assert_eq!(told, expected);
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
    fn what_no_waiting_helps_ends_it_at_once() {
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
    fn what_may_pass_has_some_time() {
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
        let step = Wait::new(&seen(2, &[]), begun).look(None, begun);
        assert!(
            matches!(&step, Step::Over(Outcome::Failed { reason, .. }) if reason == "Deleted"),
            "{step:?}"
        );
    }

    #[test]
    fn too_late_says_how_far_it_came() {
        let wait = Wait::new(&seen(2, &[]), Instant::now());
        let check = |seen: &Seen, observed_expected: bool, part: &str| match wait.late(Some(seen)) {
            Outcome::Late {
                message, observed, ..
            } => {
                assert_eq!(observed, observed_expected);
                assert!(message.contains(part), "{message}");
            }
            other => panic!("{other:?}"),
        };
        check(&seen(2, &[]), false, "operator has not");
        let waits = ("Progressing", "False", "Unschedulable", "0 of 3 nodes", 2);
        check(&seen(2, &[ACCEPTED, STARTING, waits]), true, "0 of 3 nodes");
    }
}
