//! One round for one function: observe, validate, build, apply, tell.
//!
//! Observing reads caches, and building is a plain function; only applying and telling reach the API
//! server, and only when there is something to change. A round has no memory that it needs: whatever
//! was interrupted, the next one ends in the same state.

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
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::status::{Known, status};
use crate::tell::Teller;

/// How long a round may take. The API server answers within a minute, or it is down.
const LONGEST: Duration = Duration::from_secs(90);

/// How long to wait for the first lists to be read.
const UNTIL_READY: Duration = Duration::from_millis(200);

/// What every round needs.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) caches: Arc<Caches>,
    pub(crate) memory: Memory,
    pub(crate) teller: Teller,
    pub(crate) metrics: Metrics,
    pub(crate) settings: Settings,
    pub(crate) resync: Duration,
}

/// Brings one function a round further.
pub(crate) async fn reconcile(
    resource: Arc<Guarded>,
    context: Arc<Context>,
) -> Result<Action, Failure> {
    let timer = context.metrics.begin();
    let round = tokio::time::timeout(LONGEST, round(&resource, &context));
    let result = Box::pin(round).await.unwrap_or(Err(Failure::Slow(LONGEST)));
    timer.end(&result);
    result
}

async fn round(resource: &Guarded, context: &Context) -> Result<Action, Failure> {
    let Some(identity) = identity(resource) else {
        return Ok(Action::await_change());
    };
    if resource.meta().deletion_timestamp.is_some() {
        // What was made for it has it as its owner and goes with it.
        return Ok(Action::await_change());
    }
    let forbidden = match context.caches.ready(&identity.namespace) {
        Ok(true) => None,
        Ok(false) => return Ok(Action::requeue(UNTIL_READY)),
        Err(refusal) => Some(refusal),
    };

    let observed = context.caches.observe(&identity);
    let function = validate(resource);
    let applied = match (&function, forbidden) {
        (_, Some(refusal)) => Applied {
            refusal: Some(refusal),
            ..Applied::default()
        },
        // What makes no sense changes nothing: the pods of the last version that did go on.
        (Err(_), None) => Applied::default(),
        (Ok(function), None) => {
            let desired = build(&identity, function, context.settings);
            let applier = Applier {
                client: &context.client,
                memory: &context.memory,
                identity: &identity,
            };
            Box::pin(applier.apply(desired, &observed)).await?
        }
    };

    let pods: Vec<_> = observed.pods.iter().map(|pod| &**pod).collect();
    let warnings: Vec<_> = observed.warnings.iter().map(|warning| &**warning).collect();
    let previous = previous(resource, &identity, context);
    let told = previous.clone().unwrap_or_default();
    let known = Known {
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
    let new = status(known, &told, &now());
    if previous.as_ref() != Some(&new) {
        let version = context.teller.tell(&identity, &told, &new).await?;
        context.memory.told(&identity.uid, version, new);
    }

    if applied.refusal.is_some() {
        return Ok(Action::requeue(backoff(
            context.memory.failed(&identity.uid),
        )));
    }
    context.memory.succeeded(&identity.uid);
    let resync = jittered(context.resync);
    Ok(Action::requeue(
        applied.again.map_or(resync, |again| again.min(resync)),
    ))
}

/// When to try again after a failure.
pub(crate) fn again(resource: &Guarded, failure: &Failure, context: &Context) -> Action {
    let name = resource.meta().name.as_deref().unwrap_or_default();
    let namespace = resource.meta().namespace.as_deref().unwrap_or_default();
    let uid = resource.meta().uid.as_deref().unwrap_or_default();
    let wait = backoff(context.memory.failed(uid));
    let source = std::error::Error::source(failure).map(ToString::to_string);
    tracing::warn!(namespace, name, %failure, source, ?wait, "a round failed and is tried again");
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

/// A resource that cannot be read, perhaps one of a later version, is one that makes no sense.
fn validate(resource: &Guarded) -> Result<ValidFunction, Invalid> {
    match &resource.0 {
        Ok(resource) => ValidFunction::of(resource),
        Err(unreadable) => Err(Invalid {
            field: "spec".to_owned(),
            message: unreadable.error.clone(),
        }),
    }
}

/// What was told last. The cache may not have seen it yet.
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
    // An unreadable resource hides its status as well.
    let version = if resource.0.is_ok() { version } else { None };
    let remembered = context.memory.status(&identity.uid, version);
    remembered.or_else(|| resource.0.as_ref().ok().and_then(status))
}

/// Conditions know whole seconds.
fn now() -> Time {
    let now = Timestamp::now();
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

/// A tenth more or less, so that thousands of functions do not come back at once.
fn jittered(time: Duration) -> Duration {
    let tenth = u64::try_from(time.as_millis() / 10)
        .unwrap_or(u64::MAX / 2)
        .max(1);
    time.saturating_sub(Duration::from_millis(tenth / 2))
        + Duration::from_millis(sampan_telemetry::random() % tenth)
}
