//! Computes the status of a `WasmPool`: a pure function of the pool's objects and of what refuses
//! them.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sampan_crd::{ConditionKind, ConditionState, Invalid, Reason, WasmPoolStatus};

use crate::diagnose::{Cause, diagnose};
use crate::refusal::Refusal;
use crate::status::conditions::{accepted, answering, state, unchanged};
use crate::status::{Counts, condition};

/// What the status depends on.
#[derive(Clone, Copy, Default)]
pub(crate) struct PoolStatusInput<'a> {
    /// The resource's generation.
    pub(crate) generation: Option<i64>,
    /// The value that is not allowed.
    pub(crate) invalid: Option<&'a Invalid>,
    /// Functions that need the pool.
    pub(crate) functions: usize,
    pub(crate) deployment: Option<&'a Deployment>,
    pub(crate) pods: &'a [&'a Pod],
    pub(crate) warnings: &'a [&'a Event],
    /// Why the pool cannot be made.
    pub(crate) problem: Option<&'a Refusal>,
    /// Why its autoscaler or its disruption budget is not as configured.
    pub(crate) scaling: Option<&'a Refusal>,
}

/// Computes the status. `previous` is the one before; `now` is the time of changed conditions.
pub(crate) fn pool_status(
    input: PoolStatusInput<'_>,
    previous: &WasmPoolStatus,
    now: &Time,
) -> WasmPoolStatus {
    let counts = Counts::of(input.deployment);
    let refusal = input.problem.or(input.scaling);
    let cause = refusal.map(Refusal::cause);
    let cause = cause.or_else(|| diagnose(input.deployment, input.pods, input.warnings));
    let states = [
        (ConditionKind::Accepted, accepted(input.invalid, refusal)),
        (ConditionKind::Ready, ready(input, counts, cause.as_ref())),
        (
            ConditionKind::Progressing,
            progressing(input, counts, cause.as_ref()),
        ),
    ];
    let conditions = states.into_iter().map(|(kind, state)| {
        let before = previous.condition(kind);
        condition(kind, state, input.generation, before, now)
    });
    WasmPoolStatus {
        observed_generation: input.generation,
        conditions: conditions.collect(),
        pods: input
            .deployment
            .map(|_| format!("{}/{}", counts.available, counts.wanted)),
        functions: i32::try_from(input.functions).unwrap_or(i32::MAX),
    }
}

fn no_functions() -> ConditionState {
    state(
        false,
        Reason::NoFunctions,
        "no function of the namespace has the placement Pooled or Auto, so there is no pool",
    )
}

fn ready(input: PoolStatusInput<'_>, counts: Counts, cause: Option<&Cause>) -> ConditionState {
    if input.functions == 0 {
        return no_functions();
    }
    answering(counts, cause)
}

fn progressing(
    input: PoolStatusInput<'_>,
    counts: Counts,
    cause: Option<&Cause>,
) -> ConditionState {
    if input.invalid.is_some() {
        return unchanged();
    }
    if input.functions == 0 {
        return no_functions();
    }
    if let Some(cause) = cause {
        return state(false, cause.reason, &cause.message);
    }
    if input.deployment.is_some() && counts.is_complete() {
        let message = "every pod has the current settings";
        return state(false, Reason::Complete, message);
    }
    let Counts {
        wanted,
        available,
        updated,
        ..
    } = counts;
    let message =
        format!("{updated} of {wanted} pods have the current settings, {available} pods answer");
    state(true, Reason::RollingOut, message)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;
    use sampan_crd::{ConditionKind, Invalid, WasmPoolStatus};
    use serde_json::json;

    use super::{PoolStatusInput, pool_status};
    use crate::refusal::Refusal;

    fn deployment(wanted: i32, available: i32) -> Deployment {
        serde_json::from_value(json!({
            "metadata": { "generation": 2 },
            "spec": { "replicas": wanted, "selector": {}, "template": {} },
            "status": {
                "observedGeneration": 2, "replicas": wanted, "updatedReplicas": wanted,
                "availableReplicas": available,
            },
        }))
        .expect("a Deployment")
    }

    fn forbidden() -> Refusal {
        Refusal::Forbidden {
            verb: "patch",
            resource: "horizontalpodautoscalers.autoscaling".to_owned(),
            namespace: "n".to_owned(),
        }
    }

    #[test]
    fn conditions_have_the_reason_of_what_prevents_them() {
        fn check(input: PoolStatusInput<'_>, expected: [&str; 3], pods: Option<&str>) {
            let now = Time(Timestamp::UNIX_EPOCH);
            let status = pool_status(input, &WasmPoolStatus::default(), &now);
            let shown = [
                ConditionKind::Accepted,
                ConditionKind::Ready,
                ConditionKind::Progressing,
            ]
            .map(|kind| {
                let condition = status.condition(kind).expect("it is set");
                format!("{} {}", condition.status, condition.reason)
            });
            assert_eq!(shown, expected);
            assert_eq!(status.pods.as_deref(), pods);
        }
        let two = deployment(2, 2);
        let one = deployment(2, 1);
        let none = deployment(2, 0);
        let serving = PoolStatusInput {
            functions: 3,
            deployment: Some(&two),
            ..PoolStatusInput::default()
        };
        check(
            PoolStatusInput::default(),
            ["True Valid", "False NoFunctions", "False NoFunctions"],
            None,
        );
        check(
            serving,
            ["True Valid", "True AllReady", "False Complete"],
            Some("2/2"),
        );
        check(
            PoolStatusInput {
                deployment: Some(&one),
                ..serving
            },
            ["True Valid", "True SomeReady", "True RollingOut"],
            Some("1/2"),
        );
        check(
            PoolStatusInput {
                deployment: Some(&none),
                ..serving
            },
            ["True Valid", "False Starting", "True RollingOut"],
            Some("0/2"),
        );
        let invalid = Invalid {
            field: "spec.resources".to_owned(),
            message: "m".to_owned(),
        };
        check(
            PoolStatusInput {
                invalid: Some(&invalid),
                ..serving
            },
            ["False Invalid", "True AllReady", "False Invalid"],
            Some("2/2"),
        );
        let refusal = forbidden();
        check(
            PoolStatusInput {
                scaling: Some(&refusal),
                ..serving
            },
            ["True Valid", "True AllReady", "False Forbidden"],
            Some("2/2"),
        );
        check(
            PoolStatusInput {
                problem: Some(&refusal),
                deployment: None,
                ..serving
            },
            ["True Valid", "False Forbidden", "False Forbidden"],
            None,
        );
    }

    #[test]
    fn the_time_of_a_condition_is_that_of_its_last_change() {
        let first = Time(Timestamp::UNIX_EPOCH);
        let later = Time(Timestamp::from_second(60).expect("a time"));
        let status = pool_status(
            PoolStatusInput::default(),
            &WasmPoolStatus::default(),
            &first,
        );
        let same = pool_status(PoolStatusInput::default(), &status, &later);
        assert_eq!(same, status);
        let two = deployment(1, 1);
        let input = PoolStatusInput {
            functions: 1,
            deployment: Some(&two),
            ..PoolStatusInput::default()
        };
        let changed = pool_status(input, &status, &later);
        let time = |kind| {
            let condition = changed.condition(kind).expect("it is set");
            condition.last_transition_time.clone()
        };
        assert_eq!(time(ConditionKind::Accepted), first);
        assert_eq!(time(ConditionKind::Ready), later);
    }
}
