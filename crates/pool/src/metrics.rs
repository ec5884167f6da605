//! Prometheus metrics of the pool itself; those of each function are the runner's.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use sampan_telemetry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// What came of a request to another pod for a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerResult {
    Fetched,
    Missing,
    Failed,
}

impl PeerResult {
    fn as_str(self) -> &'static str {
        match self {
            Self::Fetched => "fetched",
            Self::Missing => "missing",
            Self::Failed => "failed",
        }
    }
}

/// The state of a function, as a metric counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FunctionState {
    /// The pool serves what the resource asks for.
    Serving,
    /// It serves an older version, because the newest fails.
    Outdated,
    /// No version was loaded yet.
    Loading,
    /// No version could be loaded.
    Failed,
}

impl FunctionState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Outdated => "outdated",
            Self::Loading => "loading",
            Self::Failed => "failed",
        }
    }
}

/// The pool's metrics. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct PoolMetrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    functions: Family<StateLabel, Gauge>,
    loads: Family<ResultLabel, Histogram>,
    cold_starts: Histogram,
    listed: Gauge,
    peers: Family<ResultLabel, Counter>,
}

impl PoolMetrics {
    /// Makes the metrics and registers them in `registry`.
    pub(crate) fn register(registry: &Registry) -> Self {
        // From a module in the cache to the compilation of a language's whole runtime.
        let buckets = || Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 30.0, 120.0]);
        let families = Families {
            functions: Family::default(),
            loads: Family::new_with_constructor(buckets),
            // From a module in memory to one that is read from the disk for a guest with a long start.
            cold_starts: Histogram::new([
                0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
            ]),
            listed: Gauge::default(),
            peers: Family::default(),
        };
        registry.register(
            "pool_functions",
            "Functions by state",
            families.functions.clone(),
        );
        registry.register(
            "pool_load_seconds",
            "Time to load a version of a function, without its wait for a turn",
            families.loads.clone(),
        );
        registry.register(
            "pool_cold_start_seconds",
            "Time from the first request of a version until its answer, where no instance waited for it",
            families.cold_starts.clone(),
        );
        registry.register(
            "pool_listed",
            "Whether the pool has seen the list of functions since its start",
            families.listed.clone(),
        );
        // Rates need a first value before the first request.
        for result in [PeerResult::Fetched, PeerResult::Missing, PeerResult::Failed] {
            let result = result.as_str();
            drop(families.peers.get_or_create(&ResultLabel { result }));
        }
        registry.register(
            "pool_peer_requests",
            "Requests to other pods of the pool for compiled modules, by result",
            families.peers.clone(),
        );
        Self(Arc::new(families))
    }

    /// Counts a load.
    pub(crate) fn loaded(&self, took: Duration, success: bool) {
        let result = if success { "loaded" } else { "failed" };
        let label = ResultLabel { result };
        self.0
            .loads
            .get_or_create(&label)
            .observe(took.as_secs_f64());
    }

    /// Counts a request to another pod for a module.
    pub(crate) fn asked_peer(&self, result: PeerResult) {
        let result = result.as_str();
        self.0.peers.get_or_create(&ResultLabel { result }).inc();
    }

    /// The seconds of cold starts.
    pub(crate) fn cold_starts(&self) -> Histogram {
        self.0.cold_starts.clone()
    }

    /// Moves a function from one state to another; `None` is outside of the pool.
    pub(crate) fn moved(&self, before: Option<FunctionState>, after: Option<FunctionState>) {
        if before == after {
            return;
        }
        let gauge = |state: FunctionState| {
            let state = state.as_str();
            self.0
                .functions
                .get_or_create(&StateLabel { state })
                .clone()
        };
        if let Some(before) = before {
            gauge(before).dec();
        }
        if let Some(after) = after {
            gauge(after).inc();
        }
    }

    /// Records that the list of functions was seen.
    pub(crate) fn set_listed(&self) {
        self.0.listed.set(1);
    }
}
