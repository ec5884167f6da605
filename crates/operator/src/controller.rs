//! Control loop: reconciles touched functions, each once at a time, and many concurrently.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use kube::runtime::controller::{Config, ReconcileRequest, applier};
use kube::runtime::reflector::ObjectRef;
use kube::{Client, ResourceExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::auto_functions::AutoFunctions;
use crate::caches::Caches;
use crate::history::History;
use crate::metrics::Metrics;
use crate::options::Plan;
use crate::pod_load::PodLoad;
use crate::pool_controller::PoolController;
use crate::pool_load::PoolLoad;
use crate::pool_loop::PoolLoop;
use crate::pools::Pools;
use crate::reconcile::{Context, reconcile, retry};
use crate::status_writer::StatusWriter;
use crate::touched::Touched;
use crate::watched::WatchedFunction;

/// Changes that may wait for a reconcile; beyond them the watches wait.
const QUEUE_SIZE: usize = 1_024;

/// Time limit for running reconciles to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The interval at which functions and waiting changes are counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// Reconciles until `stop` is ready, then waits for running reconciles.
pub(crate) async fn run(
    client: Client,
    plan: &Plan,
    metrics: Metrics,
    stop: impl Future<Output = ()>,
) {
    let (touched, mut changes) = mpsc::channel::<ObjectRef<WatchedFunction>>(QUEUE_SIZE);
    let mut watches = JoinSet::new();
    let pools = Arc::new(Pools::new(plan.pool.is_some()));
    let caches = Caches::start(
        &client,
        plan.namespace.as_deref(),
        &touched,
        Arc::clone(&pools.ports),
        &mut watches,
    );
    let queue = Touched::new(&touched);
    let controller = PoolController {
        client: client.clone(),
        caches: Arc::clone(&caches),
        pools: Arc::clone(&pools),
        settings: plan.pool.clone(),
        touched: queue.clone(),
        resync: plan.resync,
        history: History::default(),
    };
    watches.spawn(PoolLoop::new(controller, metrics.clone()).run());
    let auto = Arc::new(AutoFunctions::new(Instant::now()));
    let pool_load = PoolLoad::new(
        Arc::clone(&caches),
        Arc::clone(&pools),
        Arc::clone(&auto),
        queue.clone(),
    );
    watches.spawn(pool_load.run());
    let pod_load = PodLoad {
        client: client.clone(),
        caches: Arc::clone(&caches),
        auto: Arc::clone(&auto),
        touched: queue.clone(),
    };
    watches.spawn(pod_load.run());
    let context = Arc::new(Context {
        status_writer: StatusWriter::new(client.clone(), plan.identity.clone()),
        client,
        caches: Arc::clone(&caches),
        history: History::default(),
        metrics: metrics.clone(),
        settings: plan.settings,
        pools,
        auto,
        touched: queue,
        resync: plan.resync,
    });
    let waiting = touched.downgrade();
    drop(touched);

    let queue = stream::poll_fn(move |task| changes.poll_recv(task))
        .map(|reference| Ok::<_, std::convert::Infallible>(ReconcileRequest::from(reference)));
    let config = Config::default().concurrency(plan.concurrency);
    let reconciles = applier(
        |resource, context| reconcile(resource, context).boxed(),
        |resource, failure, context| retry(&resource, failure, &context),
        Arc::clone(&context),
        caches.functions.clone(),
        queue,
        config,
    );
    // Each reconcile reports itself; a deleted function needs none.
    let mut reconciles = std::pin::pin!(reconciles.for_each(|_| std::future::ready(())));
    let mut count = interval(COUNT_INTERVAL);
    count.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut reconciles => return,
            () = &mut stop => break,
            _ = count.tick() => {
                let queued = waiting.upgrade().map_or(0, |queue| QUEUE_SIZE - queue.capacity());
                metrics.set_counts(caches.functions.len(), queued);
                let uids = || caches.functions.state().iter().filter_map(|it| it.uid()).collect();
                context.history.prune(caches.functions.len(), uids);
                context.auto.prune(|| uids().into_iter().collect());
                let has_pods = |namespace: &str| caches.has_pool_pods(namespace);
                context.pools.ports.prune(Instant::now(), has_pods);
            }
        }
    }
    // Without watches the queue ends, and with it the loop, after the running reconciles.
    watches.shutdown().await;
    if timeout(DRAIN_TIMEOUT, reconciles).await.is_err() {
        tracing::warn!("running reconciles were cancelled: the next operator finishes them");
    }
}
