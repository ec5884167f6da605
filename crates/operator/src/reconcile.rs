//! Reconciles one function: observes, validates, builds, applies and writes the status.
//!
//! Observing reads caches, and building is a pure function. Only applying and writing the status
//! send requests to the API server, and only for changes. A reconcile requires no memory: after an
//! interruption, the next one ends in the same state.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::{Client, Resource as _};
use sampan_crd::{Invalid, Placement, ValidFunction, WasmFunctionStatus};

use crate::apply::{Applied, Applier, desired_digest};
use crate::auto_functions::{AutoFunctions, Unpublished};
use crate::build::{Desired, Identity, Settings, build, service};
use crate::caches::{Caches, Observed};
use crate::failure::{Failure, backoff};
use crate::history::History;
use crate::metrics::Metrics;
use crate::optional_caches::OptionalCaches;
use crate::place::{self, Place};
use crate::placement::{PodsAction, whole_seconds};
use crate::pool_view::PoolView;
use crate::pools::Pools;
use crate::scaling::{apply_autoscaler, remove_autoscaler};
use crate::status::{Placed, StatusInput, status};
use crate::status_writer::{StatusWriter, resource_version};
use crate::touched::Touched;
use crate::watched::WatchedFunction;

/// Time limit of a reconcile. The API server answers within a minute, or it is down.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(90);

/// The wait for the first lists.
const CACHE_RETRY: Duration = Duration::from_millis(200);

/// The wait for the first reports of a pool, at least.
const REPORT_RETRY: Duration = Duration::from_secs(1);

/// The parts that every reconcile uses.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) caches: Arc<Caches>,
    pub(crate) history: History,
    pub(crate) status_writer: StatusWriter,
    pub(crate) metrics: Metrics,
    pub(crate) settings: Settings,
    pub(crate) pools: Arc<Pools>,
    pub(crate) optional: Arc<OptionalCaches>,
    pub(crate) auto: Arc<AutoFunctions>,
    pub(crate) touched: Touched,
    pub(crate) resync: Duration,
}

/// Reconciles one function within the time limit.
pub(crate) async fn reconcile(
    resource: Arc<WatchedFunction>,
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

async fn reconcile_function(
    resource: &WatchedFunction,
    context: &Context,
) -> Result<Action, Failure> {
    let Some(identity) = identity(resource) else {
        return Ok(Action::await_change());
    };
    if resource.meta().deletion_timestamp.is_some() {
        // The function owns its objects, which are deleted with it.
        return Ok(Action::await_change());
    }
    let forbidden = match context.caches.ready(&identity.namespace) {
        Ok(true) if context.optional.has_asked_for_autoscalers() => None,
        Ok(_) => return Ok(Action::requeue(CACHE_RETRY)),
        Err(refusal) => Some(refusal),
    };

    let observed = context.caches.observe(&identity);
    let function = validate(resource);
    let previous = previous(resource, &identity, context)?;
    let is_first = previous.is_none();
    let mut last = previous.unwrap_or_default();
    let wanted = function.as_ref().ok();
    let wanted = wanted.map(|function| context.auto.wanted(&identity, function.placement, &last));
    let pool = match wanted {
        Some(wanted) => place::needs_pool(wanted, &last),
        None => place::is_pooled(&last),
    };
    let pool = pool.then(|| context.pools.view(&context.caches, &identity));
    if forbidden.is_none() && pool.as_ref().is_some_and(PoolView::is_unknown) {
        // The first reports arrive within moments and reconcile it, or the pod counts as silent.
        let spread = Duration::from_millis(fastrand::u64(..1_000));
        return Ok(Action::requeue(REPORT_RETRY + spread));
    }
    // A cache that is behind must not take a port away from a function that serves with it.
    let version = pool.as_ref().and_then(|_| resource_version(resource));
    let now = whole_seconds(Timestamp::now());
    let desired = function.as_ref().ok();
    let desired = desired.map(|function| build(&identity, function, context.settings));
    // A Deployment of an earlier version must not get the requests that the pool serves.
    let leaves_pool = wanted == Some(Placement::Pod) && place::is_pooled(&last);
    let digest = desired.as_ref().filter(|_| leaves_pool);
    let digest = digest.map(|desired| desired_digest(&desired.deployment));
    let policy = function.as_ref().ok().map(|it| it.placement.policy());
    let place = match (wanted.zip(policy), &forbidden) {
        (Some((wanted, policy)), None) => Some(place::decide(
            &place::PlaceInput {
                resource,
                identity: &identity,
                wanted,
                policy,
                last: &last,
                observed: &observed,
                unconfirmed: context.history.has_unconfirmed_move(&identity.uid),
                deployment: digest.as_deref(),
                pool: pool.as_ref(),
                now: &now,
            },
            &context.pools,
        )),
        _ => None,
    };
    publish_load(&identity, context).await;
    if let Some(place) = &place
        && place.is_announced(&last)
    {
        // A port belongs to the function before its Service points there, and the pool knows that
        // it is to go on serving before the function's pods end.
        let announced = WasmFunctionStatus {
            placement: place.placed.placement,
            pool_port: place.placed.pool_port,
            moved_at: place.placed.moved_at.clone(),
            ..last.clone()
        };
        write(&identity, &last, &announced, version, context).await?;
        last = announced;
    }
    if place.as_ref().is_some_and(|place| place.redirects) {
        context.history.set_unconfirmed_move(&identity.uid, true);
    }
    if let Some(place) = &place {
        let losers = place.losers.iter().cloned();
        context.touched.functions(&identity.namespace, losers).await;
    }
    let applied = match (desired, &place, forbidden) {
        (_, _, Some(refusal)) => Applied {
            refusal: Some(refusal),
            ..Applied::default()
        },
        (Some(desired), Some(place), None) if place.has_objects(&observed) => {
            Box::pin(apply(&identity, desired, place, &observed, context)).await?
        }
        // An invalid resource changes nothing: the pods of the last valid version stay. A function
        // that has no place yet has nothing.
        _ => Applied::default(),
    };

    let pods: Vec<_> = observed.pods.iter().map(|pod| &**pod).collect();
    let warnings: Vec<_> = observed.warnings.iter().map(|warning| &**warning).collect();
    let refusal = applied.refusal.as_ref();
    let problem = place.as_ref().and_then(|place| place.refusal.as_ref());
    let placed = match &place {
        Some(place) if place.is_done(&applied) => {
            let now = whole_seconds(Timestamp::now());
            place.placed_after(&applied, &last, now)
        }
        _ => Placed::of(&last),
    };
    let removed = place
        .as_ref()
        .is_some_and(|place| place.pods == PodsAction::Remove);
    let input = StatusInput {
        identity: &identity,
        generation: resource.meta().generation,
        function: function.as_ref(),
        deployment: applied
            .deployment
            .as_ref()
            .or(observed.deployment.as_deref())
            .filter(|_| !removed),
        pods: &pods,
        warnings: &warnings,
        refusal: refusal.or(problem),
        wanted,
        unknown_load: context.auto.unknown(&identity),
        placed: &placed,
        pool: pool.as_ref(),
    };
    let new = status(input, &last, &now);
    if is_first || last != new {
        write(&identity, &last, &new, version, context).await?;
    }
    if let Some(place) = &place
        && (applied.service_written || !place.redirects)
    {
        context.history.set_unconfirmed_move(&identity.uid, false);
    }
    if let Some(place) = &place
        && place.has_moved(&applied)
    {
        let to = place.placed.placement.unwrap_or_default();
        context.metrics.count_move(to);
        context.status_writer.publish_move(&identity, to).await;
    }

    if applied.refusal.is_some() {
        return Ok(Action::requeue(backoff(
            context.history.count_failure(&identity.uid),
        )));
    }
    context.history.reset_failures(&identity.uid);
    let waits = [
        applied.requeue_after,
        place.as_ref().and_then(|place| place.again),
        Some(jittered(context.resync)),
    ];
    let wait = waits.into_iter().flatten().min();
    Ok(wait.map_or_else(Action::await_change, Action::requeue))
}

/// Publishes what the load of a function has decided, or why it is unknown.
async fn publish_load(identity: &Identity, context: &Context) {
    let Unpublished { decided, unknown } = context.auto.take_unpublished(identity);
    if let Some(decided) = &decided {
        context.metrics.count_auto_move(decided.to);
        context
            .status_writer
            .publish_auto_move(identity, decided)
            .await;
    }
    if let Some(cause) = unknown {
        context
            .status_writer
            .publish_unknown_load(identity, cause)
            .await;
    }
}

/// Applies the objects of a function at its place.
async fn apply(
    identity: &Identity,
    mut desired: Desired,
    place: &Place,
    observed: &Observed,
    context: &Context,
) -> Result<Applied, Failure> {
    desired.service = service(identity, place.backend);
    let applier = Applier {
        client: &context.client,
        history: &context.history,
        identity,
    };
    let (optional, autoscaler) = (&context.optional, desired.autoscaler.clone());
    let mut before = Applied::default();
    let has_no_pods = match place.pods {
        PodsAction::Apply => false,
        PodsAction::Leave => observed.deployment.is_none(),
        PodsAction::Remove => true,
    };
    if autoscaler.is_none() || has_no_pods {
        remove_autoscaler(&applier, optional, &mut before).await?;
    }
    let mut applied = Box::pin(applier.apply(desired, place.pods, observed)).await?;
    // Of a Deployment of another owner it would change the number of pods.
    if autoscaler.is_some() && place.pods == PodsAction::Apply && applied.refusal.is_none() {
        apply_autoscaler(&applier, optional, autoscaler.as_ref(), &mut applied).await?;
    }
    applied.refusal = applied.refusal.or(before.refusal);
    Ok(applied)
}

/// Writes a status; with the version in the cache, only over the newest one that is known.
async fn write(
    identity: &Identity,
    last: &WasmFunctionStatus,
    new: &WasmFunctionStatus,
    version: Option<u64>,
    context: &Context,
) -> Result<(), Failure> {
    let newest = || context.history.newest_version(&identity.uid, version);
    let newest = version.and_then(|_| newest());
    let version = context
        .status_writer
        .write(identity, last, new, newest)
        .await?;
    context
        .history
        .set_status(&identity.uid, version, new.clone());
    Ok(())
}

/// The retry after a failure.
pub(crate) fn retry(resource: &WatchedFunction, failure: &Failure, context: &Context) -> Action {
    let name = resource.meta().name.as_deref().unwrap_or_default();
    let namespace = resource.meta().namespace.as_deref().unwrap_or_default();
    let uid = resource.meta().uid.as_deref().unwrap_or_default();
    let wait = backoff(context.history.count_failure(uid));
    let source = std::error::Error::source(failure).map(ToString::to_string);
    tracing::warn!(namespace, name, %failure, source, ?wait, "a reconcile failed; trying again");
    Action::requeue(wait)
}

fn identity(resource: &WatchedFunction) -> Option<Identity> {
    let metadata = resource.meta();
    Some(Identity {
        namespace: metadata.namespace.clone()?,
        name: metadata.name.clone()?,
        uid: metadata.uid.clone()?,
    })
}

/// Validates a resource. One that cannot be parsed, perhaps of a later version, is invalid.
fn validate(resource: &WatchedFunction) -> Result<ValidFunction, Invalid> {
    match &resource.0 {
        Ok(resource) => ValidFunction::of(resource),
        Err(unparsed) => Err(Invalid {
            field: "spec".to_owned(),
            message: unparsed.error.clone(),
        }),
    }
}

/// The last written status, which the cache may not have yet.
fn previous(
    resource: &WatchedFunction,
    identity: &Identity,
    context: &Context,
) -> Result<Option<WasmFunctionStatus>, Failure> {
    let version = resource_version(resource);
    let shown = resource
        .status()
        .map_err(|error| Failure::StatusNotParsed(error.to_owned()))?;
    let remembered = context.history.status(&identity.uid, version);
    Ok(remembered.or_else(|| shown.cloned()))
}

/// Adds or removes up to a twentieth, so that thousands of functions do not resync at once.
fn jittered(time: Duration) -> Duration {
    let tenth = u64::try_from(time.as_millis() / 10)
        .unwrap_or(u64::MAX / 2)
        .max(1);
    time.saturating_sub(Duration::from_millis(tenth / 2))
        + Duration::from_millis(fastrand::u64(..tenth))
}
