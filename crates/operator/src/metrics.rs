//! Prometheus metrics of the operator.

use std::sync::Arc;
use std::time::Instant;

use kube::runtime::controller::Action;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use sampan_crd::Placement;
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

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct MoveLabel {
    to: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResourceLabel {
    resource: &'static str,
}

/// The operator's metrics. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    reconciles: Family<ResultLabel, Counter>,
    took: Histogram,
    running: Gauge,
    waiting: Gauge,
    requests: Family<RequestLabels, Counter>,
    leader: Gauge,
    functions: Gauge,
    moves: Family<MoveLabel, Counter>,
    auto_moves: Family<MoveLabel, Counter>,
    pools: Gauge,
    refused: Family<ResourceLabel, Gauge>,
}

impl Metrics {
    /// Makes the metrics and registers them in `registry`.
    pub fn new(registry: &Registry) -> Self {
        // From a reconcile without changes to one that waits for a slow API server.
        let buckets = [0.0001, 0.0005, 0.002, 0.01, 0.05, 0.2, 1.0, 5.0, 30.0, 90.0];
        let families = Families {
            reconciles: Family::default(),
            took: Histogram::new(buckets),
            running: Gauge::default(),
            waiting: Gauge::default(),
            requests: Family::default(),
            leader: Gauge::default(),
            functions: Gauge::default(),
            moves: Family::default(),
            auto_moves: Family::default(),
            pools: Gauge::default(),
            refused: Family::default(),
        };
        // A counter without its zero hides its first increase from Prometheus.
        for result in ["done", "failed"] {
            drop(families.reconciles.get_or_create(&ResultLabel { result }));
        }
        for to in [Placement::Pod, Placement::Pooled] {
            let label = MoveLabel { to: to.as_str() };
            drop(families.moves.get_or_create(&label));
            drop(families.auto_moves.get_or_create(&label));
        }
        registry.register(
            "operator_reconciles",
            "Reconciles by result",
            families.reconciles.clone(),
        );
        registry.register(
            "operator_reconcile_seconds",
            "Time of a reconcile",
            families.took.clone(),
        );
        registry.register(
            "operator_reconciles_running",
            "Reconciles in progress",
            families.running.clone(),
        );
        registry.register(
            "operator_changes_waiting",
            "Changes waiting for a reconcile",
            families.waiting.clone(),
        );
        registry.register(
            "operator_api_requests",
            "Requests to the API server by method and status",
            families.requests.clone(),
        );
        registry.register(
            "operator_leader",
            "1 while this operator leads",
            families.leader.clone(),
        );
        registry.register(
            "operator_functions",
            "Functions in the cache",
            families.functions.clone(),
        );
        registry.register(
            "operator_moves",
            "Functions that moved, by their new place",
            families.moves.clone(),
        );
        registry.register(
            "operator_auto_moves",
            "Moves that the load of functions with the placement Auto asked for, by their new place",
            families.auto_moves.clone(),
        );
        registry.register(
            "operator_pools",
            "Namespaces with a pool",
            families.pools.clone(),
        );
        registry.register(
            "operator_watch_refused",
            "1 while the API server refuses a watch that the operator can do without",
            families.refused.clone(),
        );
        Self(Arc::new(families))
    }

    /// Starts to time a reconcile.
    pub(crate) fn begin(&self) -> ReconcileTimer {
        self.0.running.inc();
        ReconcileTimer {
            metrics: self.clone(),
            began: Instant::now(),
        }
    }

    /// Counts a request to the API server with the response's status, or without a response.
    pub fn request(&self, method: &str, code: Option<u16>) {
        let labels = RequestLabels {
            method: method.to_owned(),
            code: code.map_or_else(|| "none".to_owned(), |code| code.to_string()),
        };
        self.0.requests.get_or_create(&labels).inc();
    }

    /// Sets whether this operator leads or stands by.
    pub(crate) fn set_leader(&self, leads: bool) {
        self.0.leader.set(leads.into());
    }

    /// Sets the number of functions and of waiting changes.
    pub(crate) fn set_counts(&self, functions: usize, waiting: usize) {
        self.0
            .functions
            .set(i64::try_from(functions).unwrap_or(i64::MAX));
        self.0
            .waiting
            .set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// Counts a function that moved.
    pub(crate) fn count_move(&self, to: Placement) {
        let label = MoveLabel { to: to.as_str() };
        self.0.moves.get_or_create(&label).inc();
    }

    /// Counts a move that the load of a function asks for.
    pub(crate) fn count_auto_move(&self, to: Placement) {
        let label = MoveLabel { to: to.as_str() };
        self.0.auto_moves.get_or_create(&label).inc();
    }

    /// Sets the number of pools.
    pub(crate) fn set_pools(&self, pools: usize) {
        self.0.pools.set(i64::try_from(pools).unwrap_or(i64::MAX));
    }

    /// Sets whether the API server refuses a watch.
    pub fn set_refused(&self, resource: &'static str, refused: bool) {
        let label = ResourceLabel { resource };
        self.0.refused.get_or_create(&label).set(refused.into());
    }

    /// The number of successful reconciles, for tests and experiments.
    pub fn reconciles(&self) -> u64 {
        let done = ResultLabel { result: "done" };
        self.0.reconciles.get(&done).map_or(0, |count| count.get())
    }

    /// The number of requests of a method, for tests and experiments.
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

/// A running reconcile; it was cancelled if dropped.
pub(crate) struct ReconcileTimer {
    metrics: Metrics,
    began: Instant,
}

impl ReconcileTimer {
    /// Records the end of the reconcile.
    pub(crate) fn end(self, result: &Result<Action, Failure>) {
        let result = if result.is_ok() { "done" } else { "failed" };
        self.metrics
            .0
            .reconciles
            .get_or_create(&ResultLabel { result })
            .inc();
        self.metrics
            .0
            .took
            .observe(self.began.elapsed().as_secs_f64());
    }
}

impl Drop for ReconcileTimer {
    fn drop(&mut self) {
        self.metrics.0.running.dec();
    }
}
