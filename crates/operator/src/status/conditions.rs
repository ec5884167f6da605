//! Computes the three conditions with their reasons.

use sampan_crd::{ConditionKind, ConditionState, Reason, WasmFunctionStatus};

use super::{Counts, StatusInput};
use crate::build::memory_advice;
use crate::diagnose::{Cause, diagnose};

/// All conditions, in the order of their output.
pub(super) fn conditions(
    input: StatusInput<'_>,
    counts: Counts,
    previous: &WasmFunctionStatus,
) -> [(ConditionKind, ConditionState); 3] {
    let cause = cause(input, previous);
    [
        (ConditionKind::Accepted, accepted(input)),
        (ConditionKind::Ready, ready(input, counts, cause.as_ref())),
        (
            ConditionKind::Progressing,
            progressing(input, counts, cause.as_ref()),
        ),
    ]
}

pub(super) fn state(holds: bool, reason: Reason, message: impl Into<String>) -> ConditionState {
    ConditionState {
        holds,
        reason,
        message: message.into(),
    }
}

pub(super) fn accepted(input: StatusInput<'_>) -> ConditionState {
    match (input.function, input.refusal) {
        (Err(invalid), _) => state(
            false,
            Reason::Invalid,
            crate::diagnose::cut(&invalid.to_string()),
        ),
        (Ok(_), Some(refusal)) if refusal.reason() == Reason::Rejected => {
            state(false, Reason::Rejected, refusal.to_string())
        }
        (Ok(_), _) => state(true, Reason::Valid, "the resource is valid"),
    }
}

/// The cause of a function that is not as requested, with advice where only the operator has it.
pub(super) fn cause(input: StatusInput<'_>, previous: &WasmFunctionStatus) -> Option<Cause> {
    if let Some(refusal) = input.refusal {
        return Some(Cause {
            reason: refusal.reason(),
            message: refusal.to_string(),
            vague: false,
        });
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
    let Counts {
        wanted, available, ..
    } = counts;
    let invalid = input.function.err();
    match (available, cause) {
        (0, _) if invalid.is_some() => state(
            false,
            Reason::Invalid,
            "the resource is invalid: see Accepted",
        ),
        (0, Some(cause)) => state(false, cause.reason, &cause.message),
        (0, None) if wanted == 0 && input.deployment.is_some() && counts.current => {
            state(false, Reason::ScaledToZero, "no pod is requested")
        }
        (0, None) => state(false, Reason::Starting, "no pod answers yet"),
        _ if available >= wanted => state(
            true,
            Reason::AllReady,
            format!("{available} of {wanted} pods answer"),
        ),
        _ => state(
            true,
            Reason::SomeReady,
            format!("{available} of {wanted} pods answer"),
        ),
    }
}

pub(super) fn progressing(
    input: StatusInput<'_>,
    counts: Counts,
    cause: Option<&Cause>,
) -> ConditionState {
    let Counts {
        wanted,
        there,
        available,
        updated,
        current,
    } = counts;
    if input.function.is_err() {
        return state(
            false,
            Reason::Invalid,
            "no change is made until the resource is valid: see Accepted",
        );
    }
    if let Some(cause) = cause {
        return state(false, cause.reason, &cause.message);
    }
    if current && updated == wanted && available == wanted && there == wanted {
        return state(
            false,
            Reason::Complete,
            "every pod runs the current version",
        );
    }
    let message = if current {
        format!("{updated} of {wanted} pods run the current version, {available} pods answer")
    } else {
        "the change was applied, and the cluster has not observed it yet".to_owned()
    };
    state(true, Reason::RollingOut, message)
}
