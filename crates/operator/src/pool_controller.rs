//! Makes the pool of a namespace with pooled functions, and removes it after the last one.
//!
//! A pool is removed only when a complete list that was read for this purpose has no function that
//! needs it. A cache that is behind removes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams};
use kube::{Client, Resource as _};
use sampan_crd::{Invalid, MOVE_DRAIN, POOL};
use tokio::time::Instant;

use crate::apply::{Applied, Applier, Outcome};
use crate::build::{Identity, PodCount, PoolConfig, PoolObjects, PoolSettings, pool};
use crate::caches::{Caches, ObservedPool};
use crate::diagnose::{Cause, diagnose};
use crate::failure::{Failure, ReconcileError, Request, backoff};
use crate::history::History;
use crate::optional_caches::OptionalCaches;
use crate::placement::whole_seconds;
use crate::pod_state::is_ready;
use crate::pool_key::{make_key, remove_key};
use crate::pool_status::{PoolStatusInput, pool_status};
use crate::pool_status_writer::WrittenStatus;
use crate::pools::Pools;
use crate::refusal::Refusal;
use crate::scaling;
use crate::touched::Touched;
use crate::unwatched::{discard, ensure};
use crate::watched::WatchedFunction;
use crate::watched_pool::WatchedPool;

/// How long a pool stays after its last function.
const LINGER: Duration = MOVE_DRAIN;

/// How often a pool's key is made again if it is missing. Its pods cannot start without it.
const KEY_INTERVAL: Duration = Duration::from_secs(30);

/// Functions in one page of the list that confirms that a pool is not needed.
const PAGE_SIZE: u32 = 500;

/// Looks after the pools, one namespace at a time.
pub(crate) struct PoolController {
    pub(crate) client: Client,
    pub(crate) caches: Arc<Caches>,
    pub(crate) optional: Arc<OptionalCaches>,
    pub(crate) pools: Arc<Pools>,
    pub(crate) settings: Option<PoolSettings>,
    pub(crate) touched: Touched,
    pub(crate) resync: Duration,
    pub(crate) history: History,
}

/// What is remembered of one namespace.
#[derive(Default)]
pub(crate) struct Namespace {
    /// Since when no function needs its pool.
    pub(crate) idle: Option<Instant>,
    pub(crate) failures: u32,
    /// Whether this operator may have made objects of the pool.
    made: bool,
    /// When its key was made, or found to be there.
    key_made: Option<Instant>,
    shown: Shown,
    /// Why the autoscaler or the disruption budget is not as configured.
    scaling: Option<Refusal>,
    status: WrittenStatus,
}

/// What the statuses of all pooled functions depend on.
#[derive(Clone, Debug, Default, PartialEq)]
struct Shown {
    ready: BTreeSet<String>,
    cause: Option<Cause>,
    problem: Option<Refusal>,
}

impl PoolController {
    /// Looks at one namespace. Returns when it is due again without a change.
    pub(crate) async fn pass(
        &self,
        namespace: &str,
        state: &mut Namespace,
        needed: bool,
    ) -> Result<Option<Duration>, Failure> {
        let observed = self.caches.observe_pool(namespace);
        let resource = self.optional.pool(namespace);
        let config = self.config(resource.as_deref());
        state.scaling = None;
        let result = if needed {
            Box::pin(self.make(namespace, state, &observed, config.as_ref())).await
        } else {
            self.pools.set_problem(namespace, None);
            self.remove(namespace, state, &observed).await
        };
        self.touch_if_changed(namespace, state, &observed).await;
        let result = match resource {
            Some(resource) => {
                let invalid = config.err();
                let shown = self
                    .show(namespace, state, &observed, &resource, invalid.as_ref())
                    .await;
                result.and_then(|again| shown.map(|()| again))
            }
            None => result,
        };
        if result.is_ok() {
            state.failures = 0;
        }
        result
    }

    /// The settings of a pool; `None` if this operator makes none.
    fn config(&self, resource: Option<&WatchedPool>) -> Result<Option<PoolConfig>, Invalid> {
        let own = resource.map(|resource| resource.settings.as_ref());
        let own = own.transpose().map_err(Clone::clone)?;
        let config = |settings| PoolConfig::of(settings, own);
        self.settings.as_ref().map(config).transpose()
    }

    /// Forgets a namespace without a pool.
    pub(crate) fn forget(&self, namespace: &str) {
        self.history.forget(&identity(namespace).uid);
    }

    async fn make(
        &self,
        namespace: &str,
        state: &mut Namespace,
        observed: &ObservedPool,
        config: Result<&Option<PoolConfig>, &Invalid>,
    ) -> Result<Option<Duration>, Failure> {
        state.idle = None;
        let config = match config {
            Ok(Some(config)) => config,
            // A pool from before goes on.
            Ok(None) => return Ok(Some(self.resync)),
            Err(invalid) => {
                // The last settings stay. Without any, those of all pools might be the wrong ones:
                // another runtime, other nodes.
                let problem = observed.deployment.is_none().then(|| Refusal::PoolInvalid {
                    message: invalid.to_string(),
                });
                self.pools.set_problem(namespace, problem);
                return Ok(Some(self.resync));
            }
        };
        state.made = true;
        let PoolObjects {
            service_account,
            role_binding,
            peers,
            deployment,
            autoscaler,
            budget,
        } = pool(namespace, config);
        let identity = identity(namespace);
        let applier = self.applier(&identity);
        let (mut applied, mut extras) = (Applied::default(), Applied::default());
        ensure(&applier, &service_account, &mut applied).await?;
        ensure(&applier, &peers, &mut applied).await?;
        if state
            .key_made
            .is_none_or(|at| at.elapsed() >= self.resync.min(KEY_INTERVAL))
        {
            let made = make_key(&self.client, namespace, &deployment.metadata).await;
            state.key_made = made.is_ok().then(Instant::now);
            applied.record::<Secret>(made.map(|()| Outcome::Kept))?;
        }
        let there = observed.deployment.as_ref();
        // Whether the namespace has settings of its own may be unknown. Then a pool keeps those that it
        // has, and only a new one gets those of all pools.
        let is_configured = self.optional.knows_pools() || there.is_none();
        if applied.refusal.is_none() && is_configured {
            let outcome = match config.pods {
                PodCount::Scaled(scale) => {
                    applier.apply_scaled(&deployment, scale.min, there).await
                }
                PodCount::Fixed(_) => {
                    scaling::remove_autoscaler(&applier, &self.optional, &mut extras).await?;
                    applier.apply_object(&deployment, there).await
                }
            };
            applied.record(outcome)?;
        }
        // The grant to read Secrets only with the Deployment, which shows that there is something
        // to remove.
        if applied.refusal.is_none() {
            ensure(&applier, &role_binding, &mut applied).await?;
        }
        if applied.refusal.is_none() && is_configured {
            let wanted = autoscaler.as_ref();
            scaling::apply_autoscaler(&applier, &self.optional, wanted, &mut extras).await?;
            scaling::apply_budget(&applier, budget.as_ref(), &mut extras).await?;
        }
        if let Some(refusal) = &extras.refusal {
            tracing::warn!(namespace, %refusal, "a pool is not scaled or not protected as configured");
        }
        state.scaling = extras.refusal;
        let again = match &applied.refusal {
            None => self.resync,
            Some(_) => backoff(self.history.count_failure(&identity.uid)),
        };
        if applied.refusal.is_none() {
            self.history.reset_failures(&identity.uid);
        }
        self.pools.set_problem(namespace, applied.refusal);
        let waits = [applied.requeue_after, extras.requeue_after, Some(again)];
        Ok(waits.into_iter().flatten().min())
    }

    async fn remove(
        &self,
        namespace: &str,
        state: &mut Namespace,
        observed: &ObservedPool,
    ) -> Result<Option<Duration>, Failure> {
        let autoscaler = self.optional.autoscaler(namespace, POOL);
        if observed.deployment.is_none() && autoscaler.is_none() && !state.made {
            state.idle = None;
            return Ok(None);
        }
        let since = state.idle.get_or_insert_with(Instant::now).elapsed();
        if let Some(rest) = LINGER.checked_sub(since).filter(|rest| !rest.is_zero()) {
            return Ok(Some(rest));
        }
        if self.is_needed(namespace).await? {
            // The cache is behind.
            return Ok(Some(LINGER));
        }
        let identity = identity(namespace);
        let applier = self.applier(&identity);
        let (mut applied, mut extras) = (Applied::default(), Applied::default());
        scaling::remove_autoscaler(&applier, &self.optional, &mut extras).await?;
        scaling::apply_budget(&applier, None, &mut extras).await?;
        discard::<Service>(&applier, &mut extras).await?;
        state.key_made = None;
        let removed = remove_key(&self.client, namespace).await;
        extras.record::<Secret>(removed.map(|()| Outcome::Kept))?;
        if let Some(refusal) = extras.refusal {
            tracing::warn!(namespace, %refusal, "an object of a pool is not removed");
        }
        // The Deployment last: it shows that there is something to remove.
        discard::<RoleBinding>(&applier, &mut applied).await?;
        discard::<ServiceAccount>(&applier, &mut applied).await?;
        if let Some(refusal) = applied.refusal {
            tracing::warn!(namespace, %refusal, "the pool is not removed");
            return Ok(Some(self.resync));
        }
        state.made = false;
        if observed.deployment.is_none() {
            state.idle = None;
            return Ok(autoscaler.map(|_| self.resync));
        }
        applied.record(applier.remove(observed.deployment.as_ref()).await)?;
        if let Some(refusal) = applied.refusal {
            tracing::warn!(namespace, %refusal, "the pool is not removed");
        }
        Ok(Some(self.resync))
    }

    /// Whether a function needs the pool, as the API server has it now.
    async fn is_needed(&self, namespace: &str) -> Result<bool, Failure> {
        let functions: Api<WatchedFunction> = Api::namespaced(self.client.clone(), namespace);
        let mut parameters = ListParams::default().limit(PAGE_SIZE);
        loop {
            let page = match functions.list(&parameters).await {
                Ok(page) => page,
                Err(source) => {
                    let request = Request {
                        verb: "list",
                        namespace,
                        name: "",
                        subresource: None,
                    };
                    return match request
                        .classify::<WatchedFunction>(&self.client, source)
                        .await
                    {
                        ReconcileError::Failed(failure) => Err(failure),
                        // Without a list the pool stays.
                        ReconcileError::Ending | ReconcileError::Refused(_) => Ok(true),
                    };
                }
            };
            if page.items.iter().any(WatchedFunction::needs_pool) {
                return Ok(true);
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(false),
            }
        }
    }

    /// Writes the status of the namespace's `WasmPool`.
    async fn show(
        &self,
        namespace: &str,
        state: &mut Namespace,
        observed: &ObservedPool,
        resource: &WatchedPool,
        invalid: Option<&Invalid>,
    ) -> Result<(), Failure> {
        if resource.meta().deletion_timestamp.is_some() {
            return Ok(());
        }
        let pods: Vec<&Pod> = observed.pods.iter().map(|pod| &**pod).collect();
        let warnings: Vec<&Event> = observed.warnings.iter().map(|event| &**event).collect();
        let problem = self.pools.problem(namespace);
        let input = PoolStatusInput {
            generation: resource.meta().generation,
            invalid,
            functions: self.caches.pooled(namespace).len(),
            deployment: observed.deployment.as_deref(),
            pods: &pods,
            warnings: &warnings,
            problem: problem.as_ref(),
            scaling: state.scaling.as_ref(),
        };
        let previous = state.status.newest(resource).unwrap_or_default();
        let now = whole_seconds(Timestamp::now());
        let status = pool_status(input, &previous, &now);
        state
            .status
            .write(&self.client, namespace, resource, status)
            .await
    }

    /// Reconciles all functions of the pool when its pods have changed.
    async fn touch_if_changed(
        &self,
        namespace: &str,
        state: &mut Namespace,
        observed: &ObservedPool,
    ) {
        let ready = observed.pods.iter().filter(|pod| is_ready(pod));
        let ready: BTreeSet<String> = ready.filter_map(|pod| pod.metadata.uid.clone()).collect();
        let pods: Vec<&Pod> = observed.pods.iter().map(|pod| &**pod).collect();
        let warnings: Vec<&Event> = observed.warnings.iter().map(|event| &**event).collect();
        let cause = if ready.is_empty() {
            diagnose(observed.deployment.as_deref(), &pods, &warnings)
        } else {
            None
        };
        let shown = Shown {
            ready,
            cause,
            problem: self.pools.problem(namespace),
        };
        if state.shown != shown {
            let functions = self.caches.pooled(namespace);
            self.touched.functions(namespace, functions).await;
            // Only now: a pass that ends before is repeated.
            state.shown = shown;
        }
    }

    fn applier<'a>(&'a self, identity: &'a Identity) -> Applier<'a> {
        Applier {
            client: &self.client,
            history: &self.history,
            identity,
        }
    }
}

/// The identity of a namespace's pool. No owner has this UID.
fn identity(namespace: &str) -> Identity {
    Identity {
        namespace: namespace.to_owned(),
        name: POOL.to_owned(),
        uid: format!("pool/{namespace}"),
    }
}
