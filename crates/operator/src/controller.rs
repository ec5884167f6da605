//! The loop: what is touched is reconciled, each function once at a time, many functions at once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use kube::runtime::controller::{Config, ReconcileRequest, applier};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::caches::{Caches, Guarded};
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::options::Plan;
use crate::reconcile::{Context, again, reconcile};
use crate::tell::Teller;

/// Changes that may wait to be looked at; beyond them the watches wait.
const QUEUE: usize = 1_024;

/// How long rounds that are under way may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// How often what is known is counted.
const COUNT: Duration = Duration::from_secs(5);

/// Reconciles until `stop` is ready, then lets what is under way come to its end.
pub(crate) async fn run(
    client: Client,
    plan: &Plan,
    metrics: Metrics,
    stop: impl Future<Output = ()>,
) {
    let (touched, mut changes) = mpsc::channel::<ObjectRef<Guarded>>(QUEUE);
    let mut watches = JoinSet::new();
    let caches = Caches::start(&client, plan.namespace.as_deref(), &touched, &mut watches);
    let context = Arc::new(Context {
        teller: Teller::new(client.clone(), plan.identity.clone()),
        client,
        caches: Arc::clone(&caches),
        memory: Memory::default(),
        metrics: metrics.clone(),
        settings: plan.settings,
        resync: plan.resync,
    });
    let waiting = touched.downgrade();
    drop(touched);

    let queue = stream::poll_fn(move |task| changes.poll_recv(task))
        .map(|reference| Ok::<_, std::convert::Infallible>(ReconcileRequest::from(reference)));
    let config = Config::default().concurrency(plan.concurrency);
    let rounds = applier(
        |resource, context| reconcile(resource, context).boxed(),
        |resource, failure, context| again(&resource, failure, &context),
        Arc::clone(&context),
        caches.functions.clone(),
        queue,
        config,
    );
    // Each round reports itself; a function that is gone needs none.
    let mut rounds = std::pin::pin!(rounds.for_each(|_| std::future::ready(())));
    let mut count = interval(COUNT);
    count.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut rounds => return,
            () = &mut stop => break,
            _ = count.tick() => {
                let queued = waiting.upgrade().map_or(0, |queue| QUEUE - queue.capacity());
                metrics.known(caches.functions.len(), queued);
                let uids = || caches.functions.state().iter().filter_map(|it| it.uid()).collect();
                context.memory.prune(caches.functions.len(), uids);
            }
        }
    }
    // Without watches the queue ends, and with it the loop, after the rounds under way.
    watches.shutdown().await;
    if timeout(GRACE, rounds).await.is_err() {
        tracing::warn!("rounds under way were given up: the next operator finishes them");
    }
}
