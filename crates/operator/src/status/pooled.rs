//! Computes the conditions of a function that is in the pool, or moves into it or out of it.
//!
//! `Ready` is about the place where the function is served, and `Progressing` about the place that
//! the resource asks for.

use k8s_openapi::api::core::v1::{Event, Pod};
use sampan_crd::pool_report::PoolCause;
use sampan_crd::{ConditionKind, ConditionState, Placement, Reason, WasmFunctionStatus};

use super::conditions::{accepted, cause, progressing, ready, state, unchanged};
use super::{Counts, Shown, StatusInput};
use crate::diagnose::{Cause, cut, diagnose};
use crate::pool_reports::Reach;
use crate::pool_view::PoolView;

/// The pool's pods, as they concern one function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PoolCounts {
    /// Pods that get requests.
    ready: i32,
    /// Pods among them that serve some version.
    serving: i32,
    /// Pods among these that serve the current version.
    current: i32,
    /// Names of pods that get requests and do not report.
    silent: Vec<String>,
    /// The digest that most pods serve, that of the current version first.
    digest: Option<String>,
}

impl PoolCounts {
    pub(super) fn of(input: StatusInput<'_>) -> Self {
        let mut counts = Self::default();
        let mut newest = None;
        for pod in input.pool.into_iter().flat_map(PoolView::ready) {
            counts.ready += 1;
            if pod.report.reach == Reach::Silent {
                counts.silent.push(pod.name.clone());
            }
            let Some(serving) = pod.serving(input.placed.pool_port) else {
                continue;
            };
            counts.serving += 1;
            if Some(serving.generation) >= input.generation {
                counts.current += 1;
            }
            newest = newest.max(Some((serving.generation, serving.digest.clone())));
        }
        counts.silent.sort_unstable();
        counts.digest = newest.map(|(_, digest)| digest);
        counts
    }

    /// The fields of a status for a function in the pool. It has no pods for an autoscaler.
    pub(super) fn shown(self) -> Shown {
        Shown {
            replicas: [self.ready, self.serving, self.current],
            pods: format!("{}/{}", self.current, self.ready),
            selector: None,
            digest: self.digest,
        }
    }
}

/// All conditions, in the order of their output.
pub(super) fn conditions(
    input: StatusInput<'_>,
    counts: Counts,
    pool: &PoolCounts,
    previous: &WasmFunctionStatus,
) -> [(ConditionKind, ConditionState); 3] {
    let of_pods = cause(input, previous);
    let of_pool = pool_cause(input, pool);
    let ready = match input.place() {
        Placement::Pod => ready(input, counts, of_pods.as_ref().or(of_pool.as_ref())),
        Placement::Pooled => pool_ready(input, pool, of_pool.as_ref()),
    };
    let progressing = match input.wanted() {
        Placement::Pooled => pool_progressing(input, pool, of_pool.as_ref()),
        Placement::Pod => leaving(progressing(input, counts, of_pods.as_ref())),
    };
    [
        (
            ConditionKind::Accepted,
            accepted(input.function.err(), input.refusal),
        ),
        (ConditionKind::Ready, ready),
        (ConditionKind::Progressing, progressing),
    ]
}

/// A move is complete only when the Service has moved.
fn leaving(progressing: ConditionState) -> ConditionState {
    if progressing.reason != Reason::Complete {
        return progressing;
    }
    state(
        true,
        Reason::RollingOut,
        "its own pods are available, and its Service moves to them",
    )
}

/// Why the pool does not serve the current version.
fn pool_cause(input: StatusInput<'_>, counts: &PoolCounts) -> Option<Cause> {
    if let Some(refusal) = input.refusal {
        return Some(refusal.cause());
    }
    let pool = input.pool?;
    let failure = pool.pods.iter().find_map(|pod| {
        let function = pod.report.function.as_ref()?;
        let current = Some(function.generation) >= input.generation;
        let failure = function.failure.as_ref()?;
        current.then_some(failure)
    });
    if let Some(failure) = failure {
        return Some(Cause {
            reason: reason(failure.cause),
            message: cut(&failure.message),
            vague: false,
        });
    }
    if counts.ready > 0 {
        return None;
    }
    let pods: Vec<&Pod> = pool.objects.iter().map(|pod| &**pod).collect();
    let warnings: Vec<&Event> = pool.warnings.iter().map(|event| &**event).collect();
    let cause = diagnose(pool.deployment.as_deref(), &pods, &warnings)?;
    Some(Cause {
        message: format!("the namespace's pool: {}", cause.message),
        ..cause
    })
}

fn reason(cause: PoolCause) -> Reason {
    match cause {
        PoolCause::Invalid => Reason::Invalid,
        PoolCause::ImagePullFailed => Reason::ImagePullFailed,
        PoolCause::InvalidImageName => Reason::InvalidImageName,
        PoolCause::StartFailed => Reason::StartFailed,
        PoolCause::ConfigurationMissing => Reason::ConfigurationMissing,
        PoolCause::Forbidden => Reason::Forbidden,
        PoolCause::PortUnavailable => Reason::PortUnavailable,
    }
}

fn pool_ready(input: StatusInput<'_>, pool: &PoolCounts, cause: Option<&Cause>) -> ConditionState {
    let PoolCounts { ready, serving, .. } = pool;
    let message = format!("{serving} of {ready} pods of the pool serve it");
    match (serving, cause) {
        (0, _) if input.function.is_err() => state(
            false,
            Reason::Invalid,
            "the resource is invalid: see Accepted",
        ),
        (0, Some(cause)) => state(false, cause.reason, &cause.message),
        (0, None) => state(false, Reason::Starting, waits(pool, &message)),
        _ if serving == ready => state(true, Reason::AllReady, message),
        _ => state(true, Reason::SomeReady, message),
    }
}

fn pool_progressing(
    input: StatusInput<'_>,
    pool: &PoolCounts,
    cause: Option<&Cause>,
) -> ConditionState {
    let PoolCounts { ready, current, .. } = pool;
    if input.function.is_err() {
        return unchanged();
    }
    if let Some(cause) = cause {
        return state(false, cause.reason, &cause.message);
    }
    let served = *ready > 0 && current == ready;
    match (input.place(), served) {
        (Placement::Pooled, true) => state(
            false,
            Reason::Complete,
            "every pod of the pool serves the current version",
        ),
        (Placement::Pod, true) => state(
            true,
            Reason::RollingOut,
            "the pool serves the current version, and the Service moves to it",
        ),
        (_, false) => {
            let message =
                format!("{current} of {ready} pods of the pool serve the current version");
            state(true, Reason::RollingOut, waits(pool, &message))
        }
    }
}

/// What is waited for.
fn waits(pool: &PoolCounts, message: &str) -> String {
    if pool.ready == 0 {
        return "no pod of the pool is ready yet".to_owned();
    }
    if pool.silent.is_empty() {
        return message.to_owned();
    }
    let silent = pool.silent.join(", ");
    format!(
        "{message}; no report from {silent}: check that NetworkPolicies let the operator reach port 9090 of the pool"
    )
}

#[cfg(test)]
mod tests;
