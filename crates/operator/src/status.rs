//! Computes the status of a function: its conditions, its URL, its counts.
//!
//! A pure function of the previous status, the observed objects, the result of applying, and the
//! time. Unchanged conditions keep their time, so that a status without changes is not written.

pub(crate) mod conditions;
mod pooled;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use sampan_crd::{
    CONTAINER, ConditionKind, ConditionState, FUNCTION_LABEL, Invalid, Placement, Reason,
    ValidFunction, WasmFunctionStatus,
};

use crate::auto_functions::UnknownLoad;
use crate::build::Identity;
use crate::pool_view::PoolView;
use crate::refusal::Refusal;

/// The input of a status.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatusInput<'a> {
    /// The resource.
    pub(crate) identity: &'a Identity,
    /// The generation of the resource to which the status refers.
    pub(crate) generation: Option<i64>,
    /// The validated resource.
    pub(crate) function: Result<&'a ValidFunction, &'a Invalid>,
    /// The Deployment, if it exists.
    pub(crate) deployment: Option<&'a Deployment>,
    /// The function's pods.
    pub(crate) pods: &'a [&'a Pod],
    /// Events about pods that cannot be set up.
    pub(crate) warnings: &'a [&'a Event],
    /// The refusal of the API server or of the cluster's rules.
    pub(crate) refusal: Option<&'a Refusal>,
    /// Where the function is to be served; `None` for an invalid resource, which asks for no move.
    pub(crate) wanted: Option<Placement>,
    /// Why the load that decides about the place is unknown.
    pub(crate) unknown_load: Option<UnknownLoad>,
    /// Where the function is served.
    pub(crate) placed: &'a Placed,
    /// The pool of the namespace; `None` for a function that does not need it.
    pub(crate) pool: Option<&'a PoolView>,
}

impl StatusInput<'_> {
    /// The place where the function is to be served.
    fn wanted(&self) -> Placement {
        self.wanted.unwrap_or(self.place())
    }

    /// The place where it is served now.
    fn place(&self) -> Placement {
        self.placed.placement.unwrap_or_default()
    }
}

/// The part of a status that says where the function is served. It is never lost.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Placed {
    /// `status.placement`.
    pub(crate) placement: Option<Placement>,
    /// `status.poolPort`.
    pub(crate) pool_port: Option<u16>,
    /// `status.movedAt`.
    pub(crate) moved_at: Option<Time>,
}

impl Placed {
    /// That of a status.
    pub(crate) fn of(status: &WasmFunctionStatus) -> Self {
        Self {
            placement: status.placement,
            pool_port: status.pool_port,
            moved_at: status.moved_at.clone(),
        }
    }
}

/// Computes the new status. `previous` is the one before; `now` is the time of changed conditions.
pub(crate) fn status(
    input: StatusInput<'_>,
    previous: &WasmFunctionStatus,
    now: &Time,
) -> WasmFunctionStatus {
    let counts = Counts::of(input.deployment);
    let pool = pooled::PoolCounts::of(input);
    let mut states = match (input.place(), input.wanted()) {
        (Placement::Pod, Placement::Pod) => conditions::conditions(input, counts, previous),
        _ => pooled::conditions(input, counts, &pool, previous),
    };
    for (kind, state) in &mut states {
        if let (ConditionKind::Progressing, Reason::Complete, Some(cause)) =
            (*kind, state.reason, input.unknown_load)
        {
            state.message = format!("{}; {cause}", state.message);
        }
    }
    let conditions = states
        .into_iter()
        .map(|(kind, state)| {
            let before = previous.condition(kind);
            condition(kind, state, input.generation, before, now)
        })
        .collect();
    let shown = match input.place() {
        Placement::Pod => Shown {
            replicas: [counts.there, counts.available, counts.updated],
            pods: format!("{}/{}", counts.available, counts.wanted),
            selector: Some(format!("{FUNCTION_LABEL}={}", input.identity.name)),
            digest: digest(input.pods),
        },
        Placement::Pooled => pool.shown(),
    };
    let [replicas, ready_replicas, updated_replicas] = shown.replicas;
    WasmFunctionStatus {
        observed_generation: input.generation,
        conditions,
        url: match input.function {
            Ok(function) => Some(url(input.identity, function)),
            Err(_) => previous.url.clone(),
        },
        replicas,
        ready_replicas,
        updated_replicas,
        pods: Some(shown.pods),
        selector: shown.selector,
        placement: input.placed.placement,
        pool_port: input.placed.pool_port,
        moved_at: input.placed.moved_at.clone(),
        digest: shown.digest.or_else(|| previous.digest.clone()),
    }
}

/// The fields that depend on the place.
struct Shown {
    /// Existing pods, those that answer, and those that run the current version.
    replicas: [i32; 3],
    pods: String,
    selector: Option<String>,
    digest: Option<String>,
}

/// The Deployment's pod counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Requested pods.
    pub(crate) wanted: i32,
    /// Existing pods.
    pub(crate) there: i32,
    /// Pods that answer.
    pub(crate) available: i32,
    /// Pods that run the current version of the resource.
    pub(crate) updated: i32,
    /// Whether the counts refer to the current generation of the Deployment.
    pub(crate) current: bool,
}

impl Counts {
    /// Whether each requested pod answers and runs the current version, and no other pod exists.
    pub(crate) fn is_complete(self) -> bool {
        let Self {
            wanted,
            there,
            available,
            updated,
            current,
        } = self;
        current && updated == wanted && available == wanted && there == wanted
    }

    pub(crate) fn of(deployment: Option<&Deployment>) -> Self {
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

/// A condition in this state. `before` is the last one of its kind.
pub(crate) fn condition(
    kind: ConditionKind,
    state: ConditionState,
    generation: Option<i64>,
    before: Option<&Condition>,
    now: &Time,
) -> Condition {
    let status = if state.holds { "True" } else { "False" };
    let unchanged = before.filter(|before| before.status == status);
    Condition {
        type_: kind.as_str().to_owned(),
        status: status.to_owned(),
        reason: state.reason.to_string(),
        message: state.message,
        observed_generation: generation,
        last_transition_time: unchanged
            .map_or(now, |previous| &previous.last_transition_time)
            .clone(),
    }
}

/// The URL of the function.
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

/// The digest of the newest pod's image.
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
