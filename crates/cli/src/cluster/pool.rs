//! What the pools of a cluster report of their functions, read through the API server.
//!
//! Every request is bounded. A pod that cannot be asked becomes a note.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Limited};
use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use kube::client::Body;
use sampan_crd::METRICS_PORT;
use sampan_crd::pool_report::PoolReport;
use tokio::time::{Instant, timeout, timeout_at};

use super::function::ClusterFunction;
use super::serving_pods::pool_selector;
use super::{Cluster, pods};
use crate::failure::Failure;

/// Time limit of one pod's report.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit of all reports together.
const DEADLINE: Duration = Duration::from_secs(10);

/// The most bytes of a report.
const MAX_BYTES: usize = 32 << 20;

/// Pods that are asked at the same time.
const CONCURRENCY: usize = 16;

/// What is known of pooled functions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PoolLoad {
    functions: BTreeMap<String, FunctionLoad>,
    /// Why some pods of a namespace's pool are not counted.
    pub(super) notes: BTreeMap<String, String>,
}

/// The requests of one function in all pods of its pool.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct FunctionLoad {
    /// Requests in flight.
    pub(super) in_flight: u64,
    /// When the last one came.
    pub(super) last_request: Option<Timestamp>,
    /// Processor time that its code has used since the pods started, in seconds.
    pub(super) guest_seconds: f64,
}

impl PoolLoad {
    /// The load of a function; `None` if no pod reports it.
    pub(super) fn of(&self, function: &ClusterFunction) -> Option<FunctionLoad> {
        self.functions.get(function.uid.as_ref()?).copied()
    }

    /// The load of one function.
    #[cfg(test)]
    pub(super) fn with(uid: &str, in_flight: u64, last_request: Timestamp) -> Self {
        let load = FunctionLoad {
            in_flight,
            last_request: Some(last_request),
            guest_seconds: 1.5,
        };
        Self {
            functions: BTreeMap::from([(uid.to_owned(), load)]),
            ..Self::default()
        }
    }

    /// Records why some pods of a namespace are not counted.
    fn note(&mut self, namespace: &str, note: String) {
        self.notes.insert(namespace.to_owned(), note);
    }

    /// Adds a pod's report.
    fn add(&mut self, report: PoolReport) {
        for function in report.functions {
            let load = self.functions.entry(function.uid).or_default();
            load.in_flight = load.in_flight.saturating_add(function.in_flight);
            let last = function.last_request.map(|time| time.0);
            load.last_request = load.last_request.max(last);
            load.guest_seconds += function.guest_seconds;
        }
    }
}

/// Asks the pools of all pooled functions, all at the same time. What has not answered by the
/// deadline becomes a note.
pub(super) async fn gather(cluster: &Cluster, functions: &[ClusterFunction]) -> PoolLoad {
    let pooled = functions.iter().filter(|function| function.is_pooled());
    let namespaces: BTreeSet<&str> = pooled.map(|it| it.namespace.as_str()).collect();
    let deadline = Instant::now() + DEADLINE;
    let mut load = PoolLoad::default();
    let listed = namespaces
        .into_iter()
        .map(|namespace| bounded(deadline, namespace, pods_of(cluster, namespace)));
    let mut listed = stream::iter(listed).buffer_unordered(CONCURRENCY);
    let mut asked = Vec::new();
    while let Some((namespace, found)) = listed.next().await {
        match found {
            Ok(pods) => asked.extend(pods.into_iter().map(|pod| (namespace, pod))),
            Err(note) => load.note(namespace, note),
        }
    }
    let asked = asked
        .iter()
        .map(|(namespace, pod)| bounded(deadline, namespace, report(cluster, namespace, pod)));
    let mut reports = stream::iter(asked).buffer_unordered(CONCURRENCY);
    while let Some((namespace, report)) = reports.next().await {
        match report {
            Ok(report) => load.add(report),
            Err(note) => load.note(namespace, note),
        }
    }
    load
}

/// The result for a namespace, or a note when the deadline comes first.
async fn bounded<T>(
    deadline: Instant,
    namespace: &str,
    asked: impl Future<Output = Result<T, String>>,
) -> (&str, Result<T, String>) {
    let late = |_| Err(format!("no answer within {} s in all", DEADLINE.as_secs()));
    (
        namespace,
        timeout_at(deadline, asked).await.unwrap_or_else(late),
    )
}

/// The names of the ready pods of a pool.
async fn pods_of(cluster: &Cluster, namespace: &str) -> Result<Vec<String>, String> {
    let action = format!("list the pods of the pool in namespace {namespace}");
    let parameters = ListParams::default().labels(&pool_selector());
    let found = cluster
        .list(&action, &cluster.pods(namespace), parameters)
        .await
        .map_err(|failure| failure.message)?;
    let ready = found.iter().filter(|pod| pods::is_ready(pod));
    let names: Vec<String> = ready.map(|pod| pods::name(pod).to_owned()).collect();
    if names.is_empty() {
        return Err("no pod of the pool is ready".to_owned());
    }
    Ok(names)
}

/// Asks one pod, through the API server's proxy.
async fn report(cluster: &Cluster, namespace: &str, pod: &str) -> Result<PoolReport, String> {
    let action = format!("read the report of pod {pod}");
    let asked = timeout(TIMEOUT, ask(cluster, namespace, pod, &action)).await;
    let report = asked.map_err(|_| {
        Failure::silent(TIMEOUT, &cluster.request_context(action.as_str())).message
    })??;
    serde_json::from_slice(&report)
        .map_err(|error| format!("cannot {action}: it is not as this program knows it: {error}"))
}

async fn ask(
    cluster: &Cluster,
    namespace: &str,
    pod: &str,
    action: &str,
) -> Result<Vec<u8>, String> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{METRICS_PORT}/proxy/functions");
    let request = http::Request::get(path)
        .body(Body::empty())
        .map_err(|error| format!("cannot {action}: {error}"))?;
    let failed =
        |error: &kube::Error| Failure::cluster(error, &cluster.request_context(action)).message;
    let response = cluster
        .client
        .send(request)
        .await
        .map_err(|error| failed(&error))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_BYTES)
        .collect()
        .await;
    let body = body.map_err(|error| format!("cannot {action}: {error}"))?;
    let body = body.to_bytes().to_vec();
    if status.is_success() {
        return Ok(body);
    }
    // The API server's own errors are a Status; the pod's are not.
    Err(match serde_json::from_slice(&body) {
        Ok(status) => failed(&kube::Error::Api(status)),
        Err(_) => format!("cannot {action}: the answer is {status}"),
    })
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures_util::{StreamExt as _, stream};
    use sampan_crd::pool_report::{PoolReport, PooledFunction};
    use tokio::time::Instant;

    use super::{CONCURRENCY, DEADLINE, FunctionLoad, PoolLoad, bounded};
    use crate::cluster::function::tests::function;

    #[tokio::test]
    async fn all_namespaces_share_one_deadline() {
        let deadline = Instant::now();
        let asked = (0..100).map(|_| bounded(deadline, "ns", pending::<Result<(), String>>()));
        let asked = stream::iter(asked).buffer_unordered(CONCURRENCY);
        let found: Vec<_> = asked.collect().await;
        assert_eq!(found.len(), 100);
        let late = |(namespace, it): &(&str, Result<(), String>)| *namespace == "ns" && it.is_err();
        assert!(found.iter().all(late), "{found:?}");
        let (_, found) = bounded(deadline + DEADLINE, "ns", async { Ok(1) }).await;
        assert_eq!(found, Ok(1));
    }

    #[test]
    fn the_load_of_a_function_is_that_of_all_pods() {
        let time = |text: &str| text.parse().expect("a time");
        let report = |in_flight, last: Option<&str>| PoolReport {
            functions: vec![PooledFunction {
                uid: "u".to_owned(),
                in_flight,
                guest_seconds: 0.25,
                last_request: last
                    .map(|last| k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time(last))),
                ..PooledFunction::default()
            }],
            ..PoolReport::default()
        };
        let mut load = PoolLoad::default();
        let function = function(1, &[]);
        assert_eq!(load.of(&function), None);
        load.add(report(2, None));
        load.add(report(3, Some("2026-01-01T00:00:05Z")));
        load.add(report(0, Some("2026-01-01T00:00:02Z")));
        let expected = FunctionLoad {
            in_flight: 5,
            last_request: Some(time("2026-01-01T00:00:05Z")),
            guest_seconds: 0.75,
        };
        assert_eq!(load.of(&function), Some(expected));
    }
}
