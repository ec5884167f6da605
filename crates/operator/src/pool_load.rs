//! Measures functions with the placement `Auto` while the pool of their namespace serves them.
//!
//! Asks all pods of a pool at the same time what its active functions have used. Pools without such
//! functions are not asked. The long polls of `pool_poll.rs` have no load: it changes all the time.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use sampan_crd::{METRICS_PORT, Placement};
use tokio::time::{sleep, timeout};

use crate::auto_functions::AutoFunctions;
use crate::auto_polls::poll_namespaces;
use crate::caches::Caches;
use crate::pod_state::address;
use crate::pool_fetch::{BodyBudget, Query, fetch, most_bytes};
use crate::pool_pollers::polled;
use crate::pool_usage::{PodAnswer, PoolUsage};
use crate::pools::Pools;
use crate::touched::Touched;

/// The time between two polls of a pool.
const INTERVAL: Duration = Duration::from_secs(10);

/// Time limit of the answer of one pod.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit of the poll of one namespace, so that pods that do not answer delay no other namespace.
const POLL_TIMEOUT: Duration = Duration::from_secs(8);

/// Functions with a request since the last answer and in this time before it are asked for. So a
/// request that lasts up to this long is counted to its end.
const MARGIN: Duration = Duration::from_mins(1);

/// Pools that are polled at the same time, and pods of each.
const CONCURRENCY: usize = 32;
const PODS_CONCURRENCY: usize = 32;

/// The KiB of all bodies that are read at the same time.
const BODY_BUDGET: u32 = 16 << 10;

/// Measures functions in pools.
pub(crate) struct PoolLoad {
    caches: Arc<Caches>,
    pools: Arc<Pools>,
    auto: Arc<AutoFunctions>,
    touched: Touched,
    bodies: BodyBudget,
}

impl PoolLoad {
    pub(crate) fn new(
        caches: Arc<Caches>,
        pools: Arc<Pools>,
        auto: Arc<AutoFunctions>,
        touched: Touched,
    ) -> Self {
        Self {
            caches,
            pools,
            auto,
            touched,
            bodies: BodyBudget::new(BODY_BUDGET),
        }
    }

    /// Measures until the task is ended.
    pub(crate) async fn run(self) {
        let polls = (INTERVAL, CONCURRENCY);
        poll_namespaces(&self.auto, Placement::Pooled, polls, |namespace, usage| {
            self.poll(namespace, usage)
        })
        .await;
    }

    async fn poll(&self, namespace: String, mut usage: PoolUsage) -> (String, PoolUsage) {
        let observed = self.caches.observe_pool(&namespace);
        let spec = observed.deployment.as_ref().and_then(|it| it.spec.as_ref());
        let replicas = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        // A tenant's pods could be any number.
        let (pods, _) = polled(&observed.pods, replicas);
        let most = most_bytes(self.pools.ports.count(&namespace));
        let asked = pods
            .iter()
            .map(|pod| self.ask(&namespace, pod, &usage, most));
        let mut asked: Vec<_> = asked.collect();
        // Where the time does not suffice for all, each has its answers from time to time.
        fastrand::shuffle(&mut asked);
        let answers = stream::iter(asked)
            .buffer_unordered(PODS_CONCURRENCY)
            .take_until(sleep(POLL_TIMEOUT));
        let answers: Vec<PodAnswer> = answers.filter_map(std::future::ready).collect().await;
        let there = pods.iter().filter_map(|pod| pod.metadata.uid.as_deref());
        let there: HashSet<&str> = there.collect();
        let functions = self.auto.at(&namespace, Placement::Pooled).into_iter();
        let functions: HashSet<String> = functions.map(|(uid, _)| uid).collect();
        let measures = usage.record(answers, &there, &functions, self.auto.now());
        let decided = self.auto.add(&namespace, Placement::Pooled, &measures);
        self.touched.functions(&namespace, decided).await;
        (namespace, usage)
    }

    /// Asks one pod; `None` if it has no address or no usable answer.
    async fn ask(
        &self,
        namespace: &str,
        pod: &Pod,
        usage: &PoolUsage,
        most: usize,
    ) -> Option<PodAnswer> {
        let uid = pod.metadata.uid.as_deref()?;
        let address = SocketAddr::new(address(pod)?, METRICS_PORT);
        let since = usage.answered(uid).map_or(INTERVAL, |answered| {
            self.auto.now().saturating_sub(answered)
        });
        let query = Query::Active(since.saturating_add(MARGIN));
        let report = match timeout(TIMEOUT, fetch(address, query, most, &self.bodies)).await {
            Ok(Ok(report)) => report,
            Ok(Err(error)) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::debug!(namespace, %address, %error, source, "a pod of the pool did not report its load");
                return None;
            }
            Err(_) => {
                tracing::debug!(namespace, %address, "a pod of the pool did not report its load in time");
                return None;
            }
        };
        Some(PodAnswer {
            pod: uid.to_owned(),
            at: self.auto.now(),
            report,
        })
    }
}
