//! What is told of a function: its conditions, its address, its counts.
//!
//! A plain function of what was there before, what was observed and what became of the changes. The time
//! is given to it. What did not change stays as it was, so that nothing is written for nothing.

mod verdict;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use sampan_crd::{
    CONTAINER, ConditionKind, ConditionState, FUNCTION_LABEL, Invalid, ValidFunction,
    WasmFunctionStatus,
};

use crate::build::Identity;
use crate::refusal::Refusal;

/// What is known when a status is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    /// Which resource.
    pub(crate) identity: &'a Identity,
    /// The generation of the resource that all of this is about.
    pub(crate) generation: Option<i64>,
    /// What the resource says, when it makes sense.
    pub(crate) function: Result<&'a ValidFunction, &'a Invalid>,
    /// The Deployment, when there is one.
    pub(crate) deployment: Option<&'a Deployment>,
    /// The function's pods.
    pub(crate) pods: &'a [&'a Pod],
    /// Events about pods that cannot be set up.
    pub(crate) warnings: &'a [&'a Event],
    /// What the API server or the cluster's rules were against.
    pub(crate) refusal: Option<&'a Refusal>,
}

/// The new status. `previous` is the one before; `now` is the time of conditions that change.
pub(crate) fn status(
    known: Known<'_>,
    previous: &WasmFunctionStatus,
    now: &Time,
) -> WasmFunctionStatus {
    let counts = Counts::of(known.deployment);
    let conditions = verdict::verdicts(known, counts, previous)
        .into_iter()
        .map(|(kind, verdict)| condition(kind, verdict, known.generation, previous, now))
        .collect();
    WasmFunctionStatus {
        observed_generation: known.generation,
        conditions,
        url: match known.function {
            Ok(function) => Some(url(known.identity, function)),
            Err(_) => previous.url.clone(),
        },
        replicas: counts.there,
        ready_replicas: counts.available,
        updated_replicas: counts.updated,
        pods: Some(format!("{}/{}", counts.available, counts.wanted)),
        selector: Some(format!("{FUNCTION_LABEL}={}", known.identity.name)),
        digest: digest(known.pods).or_else(|| previous.digest.clone()),
    }
}

/// The Deployment's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// How many pods there are to be.
    pub(crate) wanted: i32,
    /// How many there are.
    pub(crate) there: i32,
    /// How many answer.
    pub(crate) available: i32,
    /// How many run what the resource says now.
    pub(crate) updated: i32,
    /// Whether the numbers are about what the Deployment says now.
    pub(crate) current: bool,
}

impl Counts {
    fn of(deployment: Option<&Deployment>) -> Self {
        let Some(deployment) = deployment else {
            return Self {
                wanted: 0,
                there: 0,
                available: 0,
                updated: 0,
                current: false,
            };
        };
        let status = deployment.status.clone().unwrap_or_default();
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas);
        Self {
            // Kubernetes' own default.
            wanted: wanted.unwrap_or(1),
            there: status.replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
            updated: status.updated_replicas.unwrap_or(0),
            current: status.observed_generation >= deployment.metadata.generation,
        }
    }
}

fn condition(
    kind: ConditionKind,
    verdict: ConditionState,
    generation: Option<i64>,
    previous: &WasmFunctionStatus,
    now: &Time,
) -> Condition {
    let status = if verdict.holds { "True" } else { "False" };
    let unchanged = previous
        .condition(kind)
        .filter(|previous| previous.status == status);
    Condition {
        type_: kind.as_str().to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.to_string(),
        message: verdict.message,
        observed_generation: generation,
        last_transition_time: unchanged
            .map_or(now, |previous| &previous.last_transition_time)
            .clone(),
    }
}

/// Where the function is reached.
fn url(identity: &Identity, function: &ValidFunction) -> String {
    let Identity {
        namespace, name, ..
    } = identity;
    match &function.ingress {
        None => format!("http://{name}.{namespace}.svc"),
        Some(ingress) => {
            let scheme = if ingress.tls.is_some() {
                "https"
            } else {
                "http"
            };
            format!("{scheme}://{}{}", ingress.host, ingress.path)
        }
    }
}

/// The digest of the image that the newest pod runs.
fn digest(pods: &[&Pod]) -> Option<String> {
    let running = |pod: &&Pod| {
        let status = pod.status.as_ref()?;
        let mut containers = status.container_statuses.iter().flatten();
        let own = containers.find(|container| container.name == CONTAINER)?;
        let created = pod.metadata.creation_timestamp.as_ref()?.0.as_second();
        let (_, digest) = own.image_id.rsplit_once('@')?;
        Some((created, digest.to_owned()))
    };
    pods.iter()
        .filter_map(running)
        .max()
        .map(|(_, digest)| digest)
}

#[cfg(test)]
mod tests;
