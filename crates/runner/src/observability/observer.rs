//! Records the engine's events of a function in metrics and logs.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use sampan_engine::{CallError, Observer, Outbound, OutboundFailure, RequestId, Stream, Wait};
use sampan_spec::FunctionName;

use super::metrics::{FunctionMetrics, Metrics};

/// Counts and logs the events of one function. Output of the guest is logged under the target
/// `guest`.
#[derive(Debug)]
pub struct FunctionObserver {
    name: FunctionName,
    metrics: Arc<FunctionMetrics>,
    cold_starts: Option<Histogram>,
}

impl FunctionObserver {
    /// Makes an observer of the function with this name.
    pub fn new(name: FunctionName, metrics: &Metrics) -> Self {
        let metrics = metrics.function(&name);
        Self {
            name,
            metrics,
            cold_starts: None,
        }
    }

    /// Counts cold starts in a histogram of seconds, which functions may share.
    #[must_use]
    pub fn with_cold_starts(mut self, histogram: Histogram) -> Self {
        self.cold_starts = Some(histogram);
        self
    }
}

impl Observer for FunctionObserver {
    fn compiled(&self, took: Duration) {
        self.metrics.compiled(took);
        tracing::info!(function = %self.name, ?took, "compiled");
    }

    fn cache(&self, hit: bool) {
        self.metrics.cache(hit);
    }

    fn instantiated(&self, took: Duration) {
        self.metrics.instantiated(took);
    }

    fn cold_start(&self, took: Duration) {
        if let Some(cold_starts) = &self.cold_starts {
            cold_starts.observe(took.as_secs_f64());
        }
    }

    fn guest_time(&self, spent: Duration) {
        self.metrics.guest_time(spent);
    }

    fn waits(&self, wait: Wait) {
        self.metrics.waits(wait);
    }

    fn failed(&self, error: &CallError, request_id: Option<&RequestId>) {
        self.metrics.failed(error, request_id);
        let cause = error.cause();
        let request_id = request_id.map(RequestId::as_str);
        tracing::warn!(function = %self.name, cause, request_id, %error, "a call failed");
    }

    fn outbound(&self, outcome: Outbound) {
        self.metrics.outbound(outcome);
    }

    fn outbound_failed(&self, failure: &OutboundFailure<'_>, request_id: Option<&RequestId>) {
        let OutboundFailure {
            outcome,
            scheme,
            host,
            port,
            reason,
            left_out,
        } = *failure;
        let outcome = outcome.as_str();
        let request_id = request_id.map(RequestId::as_str);
        tracing::warn!(
            function = %self.name,
            outcome,
            scheme,
            host,
            port,
            request_id,
            left_out,
            reason,
            "an outbound call failed"
        );
    }

    fn output(&self, stream: Stream, line: &str, request_id: Option<&RequestId>) {
        let stream = stream.as_str();
        let request_id = request_id.map(RequestId::as_str);
        tracing::info!(target: "guest", function = %self.name, stream, request_id, "{line}");
    }
}
