//! Reconciles one function: observes, validates, builds, applies and writes the status.
//!
//! Observing reads caches, and building is a pure function. Only applying and writing the status
//! send requests to the API server, and only for changes. A reconcile requires no memory: after an
//! interruption, the next one ends in the same state.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::{Client, Resource as _};
use sampan_crd::{Invalid, ValidFunction, WasmFunction, WasmFunctionStatus};

use crate::apply::{Applied, Applier};
use crate::build::{Identity, Settings, build};
use crate::caches::{Caches, Guarded};
use crate::failure::{Failure, backoff};
use crate::history::History;
use crate::metrics::Metrics;
use crate::status::{StatusInput, status};
use crate::status_writer::StatusWriter;

/// Time limit of a reconcile. The API server answers within a minute, or it is down.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(90);

/// The wait for the first lists.
const CACHE_RETRY: Duration = Duration::from_millis(200);

/// The parts that every reconcile uses.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) caches: Arc<Caches>,
    pub(crate) history: History,
    pub(crate) status_writer: StatusWriter,
    pub(crate) metrics: Metrics,
    pub(crate) settings: Settings,
    pub(crate) resync: Duration,
}

/// Reconciles one function within the time limit.
pub(crate) async fn reconcile(
    resource: Arc<Guarded>,
    context: Arc<Context>,
) -> Result<Action, Failure> {
    let timer = context.metrics.begin();
    let reconciling =
        tokio::time::timeout(RECONCILE_TIMEOUT, reconcile_function(&resource, &context));
    let result = Box::pin(reconciling)
        .await
        .unwrap_or(Err(Failure::Timeout(RECONCILE_TIMEOUT)));
    timer.end(&result);
    result
}

async fn reconcile_function(resource: &Guarded, context: &Context) -> Result<Action, Failure> {
    let Some(identity) = identity(resource) else {
        return Ok(Action::await_change());
    };
    if resource.meta().deletion_timestamp.is_some() {
        // The function owns its objects, which are deleted with it.
        return Ok(Action::await_change());
    }
    let forbidden = match context.caches.ready(&identity.namespace) {
        Ok(true) => None,
        Ok(false) => return Ok(Action::requeue(CACHE_RETRY)),
        Err(refusal) => Some(refusal),
    };

    let observed = context.caches.observe(&identity);
    let function = validate(resource);
    let applied = match (&function, forbidden) {
        (_, Some(refusal)) => Applied {
            refusal: Some(refusal),
            ..Applied::default()
        },
        // An invalid resource changes nothing: the pods of the last valid version stay.
        (Err(_), None) => Applied::default(),
        (Ok(function), None) => {
            let desired = build(&identity, function, context.settings);
            let applier = Applier {
                client: &context.client,
                history: &context.history,
                identity: &identity,
            };
            Box::pin(applier.apply(desired, &observed)).await?
        }
    };

    let pods: Vec<_> = observed.pods.iter().map(|pod| &**pod).collect();
    let warnings: Vec<_> = observed.warnings.iter().map(|warning| &**warning).collect();
    let previous = previous(resource, &identity, context);
    let last = previous.clone().unwrap_or_default();
    let input = StatusInput {
        identity: &identity,
        generation: resource.meta().generation,
        function: function.as_ref(),
        deployment: applied
            .deployment
            .as_ref()
            .or(observed.deployment.as_deref()),
        pods: &pods,
        warnings: &warnings,
        refusal: applied.refusal.as_ref(),
    };
    let new = status(input, &last, &now());
    if previous.as_ref() != Some(&new) {
        let version = context.status_writer.write(&identity, &last, &new).await?;
        context.history.set_status(&identity.uid, version, new);
    }

    if applied.refusal.is_some() {
        return Ok(Action::requeue(backoff(
            context.history.count_failure(&identity.uid),
        )));
    }
    context.history.reset_failures(&identity.uid);
    let resync = jittered(context.resync);
    Ok(Action::requeue(
        applied
            .requeue_after
            .map_or(resync, |again| again.min(resync)),
    ))
}

/// The retry after a failure.
pub(crate) fn retry(resource: &Guarded, failure: &Failure, context: &Context) -> Action {
    let name = resource.meta().name.as_deref().unwrap_or_default();
    let namespace = resource.meta().namespace.as_deref().unwrap_or_default();
    let uid = resource.meta().uid.as_deref().unwrap_or_default();
    let wait = backoff(context.history.count_failure(uid));
    let source = std::error::Error::source(failure).map(ToString::to_string);
    tracing::warn!(namespace, name, %failure, source, ?wait, "a reconcile failed; trying again");
    Action::requeue(wait)
}

fn identity(resource: &Guarded) -> Option<Identity> {
    let metadata = resource.meta();
    Some(Identity {
        namespace: metadata.namespace.clone()?,
        name: metadata.name.clone()?,
        uid: metadata.uid.clone()?,
    })
}

/// Validates a resource. One that cannot be parsed, perhaps of a later version, is invalid.
fn validate(resource: &Guarded) -> Result<ValidFunction, Invalid> {
    match &resource.0 {
        Ok(resource) => ValidFunction::of(resource),
        Err(unreadable) => Err(Invalid {
            field: "spec".to_owned(),
            message: unreadable.error.clone(),
        }),
    }
}

/// The last written status, which the cache may not have yet.
fn previous(
    resource: &Guarded,
    identity: &Identity,
    context: &Context,
) -> Option<WasmFunctionStatus> {
    let version = resource
        .meta()
        .resource_version
        .as_deref()
        .and_then(|version| version.parse().ok());
    let status = |resource: &WasmFunction| resource.status.clone();
    // An unparsable resource hides its status as well.
    let version = if resource.0.is_ok() { version } else { None };
    let remembered = context.history.status(&identity.uid, version);
    remembered.or_else(|| resource.0.as_ref().ok().and_then(status))
}

/// The current time in whole seconds, as conditions have it.
fn now() -> Time {
    let now = Timestamp::now();
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

/// Adds or removes up to a twentieth, so that thousands of functions do not resync at once.
fn jittered(time: Duration) -> Duration {
    let tenth = u64::try_from(time.as_millis() / 10)
        .unwrap_or(u64::MAX / 2)
        .max(1);
    time.saturating_sub(Duration::from_millis(tenth / 2))
        + Duration::from_millis(fastrand::u64(..tenth))
}
