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

impl Outcome {
    /// The last observation of a function that is not ready, or what was applied; `None` for one
    /// that is ready.
    pub(super) fn not_ready<'a>(
        &'a self,
        applied: &'a ClusterFunction,
    ) -> Option<&'a ClusterFunction> {
        match self {
            Self::Ready(_) => None,
            Self::Failed { function, .. } | Self::Late { function, .. } => {
                Some(function.as_deref().unwrap_or(applied))
            }
        }
    }
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
            | Reason::NameTaken
            | Reason::PoolFull
            | Reason::PoolDisabled
            | Reason::PoolInvalid,
        ) => Severity::Permanent,
        Some(
            Reason::ImagePullFailed
            | Reason::StartFailed
            | Reason::ConfigurationMissing
            | Reason::PortUnavailable
            | Reason::CrashLoop
            | Reason::OutOfMemory,
        ) => Severity::Persistent,
        _ => Severity::Transient,
    }
}

#[cfg(test)]
mod tests;
