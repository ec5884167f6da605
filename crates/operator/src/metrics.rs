//! What the operator counts of itself.

use std::sync::Arc;
use std::time::Instant;

use kube::runtime::controller::Action;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use sampan_telemetry::Registry;

use crate::failure::Failure;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    code: String,
}

/// The operator's numbers. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Numbers>);

#[derive(Debug)]
struct Numbers {
    rounds: Family<ResultLabel, Counter>,
    took: Histogram,
    running: Gauge,
    waiting: Gauge,
    requests: Family<RequestLabels, Counter>,
    leader: Gauge,
    functions: Gauge,
}

impl Metrics {
    /// Numbers that `registry` shows.
    pub fn new(registry: &Registry) -> Self {
        // From a round that changes nothing to one that waits for a slow API server.
        let buckets = [0.0001, 0.0005, 0.002, 0.01, 0.05, 0.2, 1.0, 5.0, 30.0, 90.0];
        let numbers = Numbers {
            rounds: Family::default(),
            took: Histogram::new(buckets),
            running: Gauge::default(),
            waiting: Gauge::default(),
            requests: Family::default(),
            leader: Gauge::default(),
            functions: Gauge::default(),
        };
        registry.register(
            "operator_reconciles",
            "Reconciles, by how they ended",
            numbers.rounds.clone(),
        );
        registry.register(
            "operator_reconcile_seconds",
            "How long a reconcile took",
            numbers.took.clone(),
        );
        registry.register(
            "operator_reconciles_running",
            "Reconciles under way",
            numbers.running.clone(),
        );
        registry.register(
            "operator_changes_waiting",
            "Changes seen and not yet looked at",
            numbers.waiting.clone(),
        );
        registry.register(
            "operator_api_requests",
            "Requests to the API server, by method and answer",
            numbers.requests.clone(),
        );
        registry.register(
            "operator_leader",
            "1 while this operator is the one that works",
            numbers.leader.clone(),
        );
        registry.register(
            "operator_functions",
            "Functions that are known",
            numbers.functions.clone(),
        );
        Self(Arc::new(numbers))
    }

    /// A reconcile begins.
    pub(crate) fn begin(&self) -> Round {
        self.0.running.inc();
        Round {
            metrics: self.clone(),
            began: Instant::now(),
        }
    }

    /// A request to the API server was answered with `code`, or not at all.
    pub(crate) fn request(&self, method: &str, code: Option<u16>) {
        let labels = RequestLabels {
            method: method.to_owned(),
            code: code.map_or_else(|| "none".to_owned(), |code| code.to_string()),
        };
        self.0.requests.get_or_create(&labels).inc();
    }

    /// Whether this operator works, or stands by.
    pub(crate) fn leads(&self, leads: bool) {
        self.0.leader.set(leads.into());
    }

    /// How many functions and how many changes there are.
    pub(crate) fn known(&self, functions: usize, waiting: usize) {
        self.0
            .functions
            .set(i64::try_from(functions).unwrap_or(i64::MAX));
        self.0
            .waiting
            .set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// How many reconciles ended without a failure, for tests and experiments.
    pub fn reconciles(&self) -> u64 {
        let done = ResultLabel { result: "done" };
        self.0.rounds.get(&done).map_or(0, |count| count.get())
    }

    /// How many requests of a method were made, for tests and experiments.
    pub fn requests(&self, method: &str) -> u64 {
        let codes = (100..600)
            .map(|code| code.to_string())
            .chain(["none".to_owned()]);
        let count = |code: String| {
            let labels = RequestLabels {
                method: method.to_owned(),
                code,
            };
            self.0.requests.get(&labels).map_or(0, |count| count.get())
        };
        codes.map(count).sum()
    }
}

/// A reconcile under way; dropped, it was given up.
pub(crate) struct Round {
    metrics: Metrics,
    began: Instant,
}

impl Round {
    /// The reconcile ended.
    pub(crate) fn end(self, result: &Result<Action, Failure>) {
        let result = if result.is_ok() { "done" } else { "failed" };
        self.metrics
            .0
            .rounds
            .get_or_create(&ResultLabel { result })
            .inc();
        self.metrics
            .0
            .took
            .observe(self.began.elapsed().as_secs_f64());
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        self.metrics.0.running.dec();
    }
}
