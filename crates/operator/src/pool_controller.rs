//! Makes the pool of each namespace with pooled functions, removes it after the last one, and polls
//! its pods.
//!
//! A pool is removed only when a complete list that was read for this purpose has no function that
//! needs it. A cache that is behind removes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, ListParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use sampan_crd::{MOVE_DRAIN, POOL};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::apply::{Applied, Applier};
use crate::build::{Identity, PoolObjects, PoolSettings, pool};
use crate::caches::{Caches, ObservedPool};
use crate::diagnose::{Cause, diagnose};
use crate::failure::{Failure, ReconcileError, Request, backoff};
use crate::history::History;
use crate::metrics::Metrics;
use crate::pool_pollers::PoolPollers;
use crate::pool_view::is_ready;
use crate::pools::Pools;
use crate::refusal::Refusal;
use crate::touched::Touched;
use crate::watched::WatchedFunction;

/// The shortest time between two passes, which each read the whole cache.
const PAUSE: Duration = Duration::from_millis(200);

/// Time limit of one namespace in a pass.
const TIMEOUT: Duration = Duration::from_secs(90);

/// How long a pool stays after its last function.
const LINGER: Duration = MOVE_DRAIN;

/// Functions in one page of the list that confirms that a pool is not needed.
const PAGE_SIZE: u32 = 500;

/// Looks after all pools.
pub(crate) struct PoolController {
    client: Client,
    caches: Arc<Caches>,
    pools: Arc<Pools>,
    settings: Option<PoolSettings>,
    touched: Touched,
    metrics: Metrics,
    resync: Duration,
    history: History,
    pollers: PoolPollers,
    namespaces: BTreeMap<String, Namespace>,
}

/// What is remembered of one namespace.
#[derive(Default)]
struct Namespace {
    /// When it is looked at again.
    due: Option<Instant>,
    /// Since when no function needs its pool.
    idle: Option<Instant>,
    failures: u32,
    shown: Shown,
}

/// What the statuses of all pooled functions depend on.
#[derive(Clone, Debug, Default, PartialEq)]
struct Shown {
    ready: BTreeSet<String>,
    cause: Option<Cause>,
    problem: Option<Refusal>,
}

impl PoolController {
    pub(crate) fn new(
        client: Client,
        caches: Arc<Caches>,
        pools: Arc<Pools>,
        settings: Option<PoolSettings>,
        touched: Touched,
        metrics: Metrics,
        resync: Duration,
    ) -> Self {
        let pollers = PoolPollers::new(Arc::clone(&pools.reports), touched.clone());
        Self {
            client,
            caches,
            pools,
            settings,
            touched,
            metrics,
            resync,
            history: History::default(),
            pollers,
            namespaces: BTreeMap::new(),
        }
    }

    /// Works until the task is ended.
    pub(crate) async fn run(mut self) {
        // Before the first lists are complete, nothing is known to be missing.
        while !self.caches.has_functions() || self.caches.ready("") != Ok(true) {
            sleep(PAUSE).await;
        }
        loop {
            self.wait().await;
            let needing = self.caches.needing_pools();
            self.metrics.set_pools(needing.len());
            let due = self.take_due();
            // Before any request, which may take its time.
            for namespace in &due {
                let observed = self.caches.observe_pool(namespace);
                self.pollers.follow(namespace, &observed.pods);
            }
            for namespace in due {
                let needed = needing.contains(&namespace);
                let pass = Box::pin(self.pass(&namespace, needed));
                let again = match timeout(TIMEOUT, pass).await {
                    Ok(Ok(again)) => again,
                    Ok(Err(failure)) => Some(self.failed(&namespace, &failure)),
                    Err(_) => Some(self.failed(&namespace, &Failure::Timeout(TIMEOUT))),
                };
                self.schedule(&namespace, again);
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits for a change, or until a namespace is due.
    async fn wait(&mut self) {
        let next = self.namespaces.values().filter_map(|it| it.due).min();
        let due = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.caches.pool_changes.take() => {
                for namespace in changed {
                    self.namespaces.entry(namespace).or_default().due = Some(Instant::now());
                }
            }
            () = due => {}
        }
    }

    fn take_due(&mut self) -> Vec<String> {
        let now = Instant::now();
        let due = self.namespaces.iter_mut().filter_map(|(name, namespace)| {
            namespace.due.take_if(|due| *due <= now)?;
            Some(name.clone())
        });
        due.collect()
    }

    fn schedule(&mut self, namespace: &str, again: Option<Duration>) {
        let entry = self.namespaces.entry(namespace.to_owned()).or_default();
        let empty = entry.due.is_none() && entry.idle.is_none();
        match again {
            Some(again) => entry.due = Some(Instant::now() + again),
            None if empty => {
                self.namespaces.remove(namespace);
            }
            None => {}
        }
    }

    fn failed(&mut self, namespace: &str, failure: &Failure) -> Duration {
        let entry = self.namespaces.entry(namespace.to_owned()).or_default();
        entry.failures = entry.failures.saturating_add(1);
        let wait = backoff(entry.failures);
        let source = std::error::Error::source(failure).map(ToString::to_string);
        tracing::warn!(namespace, %failure, source, ?wait, "a pool could not be made; trying again");
        wait
    }

    /// Looks at one namespace. Returns when it is due again without a change.
    async fn pass(&mut self, namespace: &str, needed: bool) -> Result<Option<Duration>, Failure> {
        let observed = self.caches.observe_pool(namespace);
        let result = if needed {
            self.make(namespace, &observed).await
        } else {
            self.pools.set_problem(namespace, None);
            self.remove(namespace, &observed).await
        };
        self.touch_if_changed(namespace, &observed).await;
        if result.is_ok() {
            let entry = self.namespaces.entry(namespace.to_owned()).or_default();
            entry.failures = 0;
        }
        result
    }

    async fn make(
        &mut self,
        namespace: &str,
        observed: &ObservedPool,
    ) -> Result<Option<Duration>, Failure> {
        self.namespaces
            .entry(namespace.to_owned())
            .or_default()
            .idle = None;
        let Some(settings) = &self.settings else {
            // A pool from before goes on.
            let problem = observed
                .deployment
                .is_none()
                .then_some(Refusal::PoolDisabled);
            self.pools.set_problem(namespace, problem);
            return Ok(Some(self.resync));
        };
        let PoolObjects {
            service_account,
            role_binding,
            deployment,
        } = pool(namespace, settings);
        let identity = identity(namespace);
        let applier = self.applier(&identity);
        let mut applied = Applied::default();
        ensure(&applier, &service_account, &mut applied).await?;
        ensure(&applier, &role_binding, &mut applied).await?;
        let outcome = applier
            .apply_object(&deployment, observed.deployment.as_ref())
            .await;
        applied.record(outcome)?;
        let again = match &applied.refusal {
            None => self.resync,
            Some(_) => backoff(self.history.count_failure(&identity.uid)),
        };
        if applied.refusal.is_none() {
            self.history.reset_failures(&identity.uid);
        }
        self.pools.set_problem(namespace, applied.refusal);
        Ok(Some(
            applied
                .requeue_after
                .map_or(again, |after| after.min(again)),
        ))
    }

    async fn remove(
        &mut self,
        namespace: &str,
        observed: &ObservedPool,
    ) -> Result<Option<Duration>, Failure> {
        let entry = self.namespaces.entry(namespace.to_owned()).or_default();
        if observed.deployment.is_none() {
            entry.idle = None;
            return Ok(None);
        }
        let since = entry.idle.get_or_insert_with(Instant::now).elapsed();
        if let Some(rest) = LINGER.checked_sub(since).filter(|rest| !rest.is_zero()) {
            return Ok(Some(rest));
        }
        if self.is_needed(namespace).await? {
            // The cache is behind.
            return Ok(Some(LINGER));
        }
        let identity = identity(namespace);
        let applier = self.applier(&identity);
        let mut applied = Applied::default();
        // The Deployment last: it shows that there is something to remove.
        discard::<RoleBinding>(&applier, &mut applied).await?;
        discard::<ServiceAccount>(&applier, &mut applied).await?;
        if let Some(refusal) = applied.refusal {
            tracing::warn!(namespace, %refusal, "the pool is not removed");
            return Ok(Some(self.resync));
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

    /// Reconciles all functions of the pool when its pods have changed.
    async fn touch_if_changed(&mut self, namespace: &str, observed: &ObservedPool) {
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
        let entry = self.namespaces.entry(namespace.to_owned()).or_default();
        if entry.shown != shown {
            entry.shown = shown;
            let functions = self.caches.pooled(namespace);
            self.touched.functions(namespace, functions).await;
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

/// Applies an object that no watch follows.
async fn ensure<K>(applier: &Applier<'_>, desired: &K, applied: &mut Applied) -> Result<(), Failure>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize,
{
    let outcome = match applier.read::<K>().await {
        Ok(there) => applier.apply_object(desired, there.as_ref()).await,
        Err(error) => Err(error),
    };
    applied.record(outcome).map(drop)
}

/// Deletes an object that no watch follows.
async fn discard<K>(applier: &Applier<'_>, applied: &mut Applied) -> Result<(), Failure>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize,
{
    let outcome = match applier.read::<K>().await {
        Ok(there) => applier.remove(there.as_ref()).await,
        Err(error) => Err(error),
    };
    applied.record(outcome).map(drop)
}
