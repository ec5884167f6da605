//! The three conditions: what each says, and why.

use sampan_crd::{ConditionKind, ConditionState, Reason, WasmFunctionStatus};

use super::{Counts, Known};
use crate::diagnose::{Cause, diagnose};

/// All conditions, in the order in which they are shown.
pub(super) fn verdicts(
    known: Known<'_>,
    counts: Counts,
    previous: &WasmFunctionStatus,
) -> [(ConditionKind, ConditionState); 3] {
    let cause = cause(known, previous);
    [
        (ConditionKind::Accepted, accepted(known)),
        (ConditionKind::Ready, ready(known, counts, cause.as_ref())),
        (
            ConditionKind::Progressing,
            progressing(known, counts, cause.as_ref()),
        ),
    ]
}

fn verdict(holds: bool, reason: Reason, message: impl Into<String>) -> ConditionState {
    ConditionState {
        holds,
        reason,
        message: message.into(),
    }
}

fn accepted(known: Known<'_>) -> ConditionState {
    match (known.function, known.refusal) {
        (Err(invalid), _) => verdict(
            false,
            Reason::Invalid,
            crate::diagnose::cut(&invalid.to_string()),
        ),
        (Ok(_), Some(refusal)) if refusal.reason() == Reason::Rejected => {
            verdict(false, Reason::Rejected, refusal.to_string())
        }
        (Ok(_), _) => verdict(true, Reason::Valid, "the resource makes sense"),
    }
}

/// What keeps the function from being as it should be.
fn cause(known: Known<'_>, previous: &WasmFunctionStatus) -> Option<Cause> {
    if let Some(refusal) = known.refusal {
        return Some(Cause {
            reason: refusal.reason(),
            message: refusal.to_string(),
            vague: false,
        });
    }
    let mut cause = diagnose(known.deployment, known.pods, known.warnings)?;
    // "Back-off" says less than what was said of the failure itself, a moment ago.
    let told = |kind| {
        let told = previous.condition(kind)?;
        let same =
            told.reason == cause.reason.as_str() && told.observed_generation == known.generation;
        same.then(|| told.message.clone())
    };
    if cause.vague
        && let Some(told) = told(ConditionKind::Progressing)
    {
        cause.message = told;
    }
    Some(cause)
}

fn ready(known: Known<'_>, counts: Counts, cause: Option<&Cause>) -> ConditionState {
    let Counts {
        wanted, available, ..
    } = counts;
    let invalid = known.function.err();
    match (available, cause) {
        (0, _) if invalid.is_some() => verdict(
            false,
            Reason::Invalid,
            "the resource does not make sense: see Accepted",
        ),
        (0, Some(cause)) => verdict(false, cause.reason, &cause.message),
        (0, None) if wanted == 0 && known.deployment.is_some() && counts.current => {
            verdict(false, Reason::ScaledToZero, "no pod is asked for")
        }
        (0, None) => verdict(false, Reason::Starting, "no pod answers yet"),
        _ if available >= wanted => verdict(
            true,
            Reason::AllReady,
            format!("{available} of {wanted} pods answer"),
        ),
        _ => verdict(
            true,
            Reason::SomeReady,
            format!("{available} of {wanted} pods answer"),
        ),
    }
}

fn progressing(known: Known<'_>, counts: Counts, cause: Option<&Cause>) -> ConditionState {
    let Counts {
        wanted,
        there,
        available,
        updated,
        current,
    } = counts;
    if known.function.is_err() {
        return verdict(
            false,
            Reason::Invalid,
            "nothing changes until the resource makes sense: see Accepted",
        );
    }
    if let Some(cause) = cause {
        return verdict(false, cause.reason, &cause.message);
    }
    if current && updated == wanted && available == wanted && there == wanted {
        return verdict(
            false,
            Reason::Complete,
            "every pod runs what the resource says",
        );
    }
    let message = if current {
        format!("{updated} of {wanted} pods run what the resource says, {available} pods answer")
    } else {
        "the change was made, and the cluster has not taken it up yet".to_owned()
    };
    verdict(true, Reason::RollingOut, message)
}
