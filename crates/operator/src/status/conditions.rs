//! Computes the three conditions with their reasons.

use sampan_crd::{ConditionKind, ConditionState, Invalid, Reason, WasmFunctionStatus};

use super::{Counts, StatusInput};
use crate::build::memory_advice;
use crate::diagnose::{Cause, cut, diagnose};
use crate::refusal::Refusal;

/// All conditions, in the order of their output.
pub(super) fn conditions(
    input: StatusInput<'_>,
    counts: Counts,
    previous: &WasmFunctionStatus,
) -> [(ConditionKind, ConditionState); 3] {
    let cause = cause(input, previous);
    [
        (
            ConditionKind::Accepted,
            accepted(input.function.err(), input.refusal),
        ),
        (ConditionKind::Ready, ready(input, counts, cause.as_ref())),
        (
            ConditionKind::Progressing,
            progressing(input, counts, cause.as_ref()),
        ),
    ]
}

pub(crate) fn state(holds: bool, reason: Reason, message: impl Into<String>) -> ConditionState {
    ConditionState {
        holds,
        reason,
        message: message.into(),
    }
}

/// Whether a resource is accepted. `refusal` is that of an object that was made for it.
pub(crate) fn accepted(invalid: Option<&Invalid>, refusal: Option<&Refusal>) -> ConditionState {
    match (invalid, refusal) {
        (Some(invalid), _) => state(false, Reason::Invalid, cut(&invalid.to_string())),
        (None, Some(refusal)) if refusal.reason() == Reason::Rejected => {
            state(false, Reason::Rejected, refusal.to_string())
        }
        (None, _) => state(true, Reason::Valid, "the resource is valid"),
    }
}

/// The progress of an invalid resource.
pub(crate) fn unchanged() -> ConditionState {
    let message = "no change is made until the resource is valid: see Accepted";
    state(false, Reason::Invalid, message)
}

/// How many of the requested pods answer. `cause` is why none does.
pub(crate) fn answering(counts: Counts, cause: Option<&Cause>) -> ConditionState {
    let Counts {
        wanted, available, ..
    } = counts;
    let message = format!("{available} of {wanted} pods answer");
    match (available, cause) {
        (0, Some(cause)) => state(false, cause.reason, &cause.message),
        (0, None) => state(false, Reason::Starting, "no pod answers yet"),
        _ if available >= wanted => state(true, Reason::AllReady, message),
        _ => state(true, Reason::SomeReady, message),
    }
}

/// The cause of a function that is not as requested, with advice where only the operator has it.
pub(super) fn cause(input: StatusInput<'_>, previous: &WasmFunctionStatus) -> Option<Cause> {
    if let Some(refusal) = input.refusal {
        return Some(refusal.cause());
    }
    let mut cause = diagnose(input.deployment, input.pods, input.warnings)?;
    // "Back-off" says less than the earlier message about the failure itself.
    let last = |kind| {
        let last = previous.condition(kind)?;
        let same =
            last.reason == cause.reason.as_str() && last.observed_generation == input.generation;
        same.then(|| last.message.clone())
    };
    if cause.vague
        && let Some(last) = last(ConditionKind::Progressing)
    {
        cause.message = last;
    }
    // A quota counts the pods' limit, which the operator sets, so its message names no field of the
    // resource.
    if cause.reason == Reason::NotAdmitted
        && let Ok(function) = input.function
        && function.template.resources.is_none()
    {
        let advice = memory_advice(&function.function.limits);
        cause.message = format!("{}; {advice}", cause.message);
    }
    Some(cause)
}

pub(super) fn ready(
    input: StatusInput<'_>,
    counts: Counts,
    cause: Option<&Cause>,
) -> ConditionState {
    match (counts.available, cause) {
        (0, _) if input.function.is_err() => state(
            false,
            Reason::Invalid,
            "the resource is invalid: see Accepted",
        ),
        (0, None) if counts.wanted == 0 && input.deployment.is_some() && counts.current => {
            state(false, Reason::ScaledToZero, "no pod is requested")
        }
        _ => answering(counts, cause),
    }
}

pub(super) fn progressing(
    input: StatusInput<'_>,
    counts: Counts,
    cause: Option<&Cause>,
) -> ConditionState {
    if input.function.is_err() {
        return unchanged();
    }
    if let Some(cause) = cause {
        return state(false, cause.reason, &cause.message);
    }
    if counts.is_complete() {
        return state(
            false,
            Reason::Complete,
            "every pod runs the current version",
        );
    }
    let Counts {
        wanted,
        available,
        updated,
        current,
        ..
    } = counts;
    let message = if current {
        format!("{updated} of {wanted} pods run the current version, {available} pods answer")
    } else {
        "the change was applied, and the cluster has not observed it yet".to_owned()
    };
    state(true, Reason::RollingOut, message)
}
