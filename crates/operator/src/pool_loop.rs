//! The control loop of all pools: follows their pods, and makes or removes the pools that changed.
//!
//! Each namespace has one pass at a time, and several namespaces have theirs concurrently, so that
//! none waits for the requests of another one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::failure::{Failure, backoff};
use crate::metrics::Metrics;
use crate::pool_controller::{Namespace, PoolController};
use crate::pool_pollers::PoolPollers;

/// The shortest time between two looks, which each read the whole cache.
const PAUSE: Duration = Duration::from_millis(200);

/// Time limit of a pass.
const TIMEOUT: Duration = Duration::from_secs(90);

/// Concurrent passes.
const CONCURRENCY: usize = 16;

/// The wait for the lists, without which nothing is known to be missing.
const LISTS_RETRY: Duration = Duration::from_millis(500);

/// Looks after all pools.
pub(crate) struct PoolLoop {
    controller: Arc<PoolController>,
    metrics: Metrics,
    pollers: PoolPollers,
    namespaces: BTreeMap<String, Entry>,
    passes: JoinSet<Pass>,
}

/// One namespace.
#[derive(Default)]
struct Entry {
    /// When it is looked at again.
    due: Option<Instant>,
    /// What is remembered of it; `None` during a pass, which has it.
    state: Option<Namespace>,
    running: bool,
}

/// A pass that has ended.
struct Pass {
    namespace: String,
    state: Namespace,
    result: Result<Option<Duration>, Failure>,
}

impl PoolLoop {
    pub(crate) fn new(controller: PoolController, metrics: Metrics) -> Self {
        let pools = Arc::clone(&controller.pools);
        Self {
            pollers: PoolPollers::new(pools, controller.touched.clone()),
            controller: Arc::new(controller),
            metrics,
            namespaces: BTreeMap::new(),
            passes: JoinSet::new(),
        }
    }

    /// Works until the task is ended.
    pub(crate) async fn run(mut self) {
        loop {
            let changed = self.wait().await;
            let caches = &self.controller.caches;
            let needing = caches.needing_pools();
            self.metrics.set_pools(needing.len());
            // Reconciles wait for reports, so the pods are followed as soon as they are known, also
            // during a pass.
            for namespace in changed {
                self.follow(&namespace, &needing);
            }
            let caches = &self.controller.caches;
            let ready = caches.has_functions()
                && caches.ready("") == Ok(true)
                && self.controller.optional.ready();
            for namespace in self.take_due() {
                if ready {
                    self.start(namespace, &needing);
                } else {
                    self.schedule(&namespace, Some(LISTS_RETRY));
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits for a change, for the end of a pass, or until a namespace is due. Returns the changed
    /// namespaces.
    async fn wait(&mut self) -> BTreeSet<String> {
        let free = self.passes.len() < CONCURRENCY;
        let idle = self.namespaces.values().filter(|it| free && !it.running);
        let next = idle.filter_map(|it| it.due).min();
        let due = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        let changed = tokio::select! {
            changed = self.controller.caches.pool_changes.take() => changed,
            Some(ended) = self.passes.join_next() => {
                self.end(ended);
                BTreeSet::new()
            }
            () = due => BTreeSet::new(),
        };
        while let Some(ended) = self.passes.try_join_next() {
            self.end(ended);
        }
        for namespace in &changed {
            let entry = self.namespaces.entry(namespace.clone()).or_default();
            entry.due = Some(Instant::now());
        }
        changed
    }

    /// Takes the namespaces that are due, as many as may have a pass.
    fn take_due(&mut self) -> Vec<String> {
        let now = Instant::now();
        let idle = self.namespaces.iter_mut().filter(|(_, it)| !it.running);
        let due = idle.filter_map(|(name, namespace)| {
            namespace.due.filter(|due| *due <= now)?;
            Some((name, &mut namespace.due))
        });
        let due = due.take(CONCURRENCY.saturating_sub(self.passes.len()));
        due.map(|(name, due)| {
            *due = None;
            name.clone()
        })
        .collect()
    }

    /// Polls the pods of a pool that is needed.
    fn follow(&mut self, namespace: &str, needing: &BTreeSet<String>) {
        if !needing.contains(namespace) {
            self.pollers.follow(namespace, &[], 0);
            return;
        }
        let observed = self.controller.caches.observe_pool(namespace);
        let spec = observed.deployment.as_ref().and_then(|it| it.spec.as_ref());
        let replicas = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        self.pollers.follow(namespace, &observed.pods, replicas);
    }

    fn start(&mut self, namespace: String, needing: &BTreeSet<String>) {
        let needed = needing.contains(&namespace);
        let entry = self.namespaces.entry(namespace.clone()).or_default();
        entry.running = true;
        let mut state = entry.state.take().unwrap_or_default();
        let controller = Arc::clone(&self.controller);
        self.passes.spawn(async move {
            let pass = Box::pin(controller.pass(&namespace, &mut state, needed));
            let result = timeout(TIMEOUT, pass).await;
            Pass {
                namespace,
                state,
                result: result.unwrap_or(Err(Failure::Timeout(TIMEOUT))),
            }
        });
    }

    fn end(&mut self, ended: Result<Pass, tokio::task::JoinError>) {
        let Pass {
            namespace,
            mut state,
            result,
        } = match ended {
            Ok(pass) => pass,
            // A panic ends the operator, as that of a reconcile does.
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return,
            },
        };
        let again = result.unwrap_or_else(|failure| {
            state.failures = state.failures.saturating_add(1);
            let wait = backoff(state.failures);
            let source = std::error::Error::source(&failure).map(ToString::to_string);
            tracing::warn!(namespace, %failure, source, ?wait, "a pool could not be made; trying again");
            Some(wait)
        });
        let entry = self.namespaces.entry(namespace.clone()).or_default();
        entry.running = false;
        entry.state = Some(state);
        self.schedule(&namespace, again);
    }

    fn schedule(&mut self, namespace: &str, again: Option<Duration>) {
        let entry = self.namespaces.entry(namespace.to_owned()).or_default();
        let next = again.map(|again| Instant::now() + again);
        // A change during the pass is due before.
        entry.due = entry.due.into_iter().chain(next).min();
        let idle = entry.state.as_ref().and_then(|state| state.idle);
        if entry.due.is_none() && idle.is_none() && !entry.running {
            self.namespaces.remove(namespace);
            self.controller.forget(namespace);
        }
    }
}
