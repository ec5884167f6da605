//! Records the engine's events of a function in metrics and logs.

use std::sync::Arc;
use std::time::Duration;

use sampan_engine::{CallError, Observer, Outbound, OutboundFailure, Stream};
use sampan_spec::FunctionName;

use crate::metrics::{FunctionMetrics, Metrics};

/// Counts the events of one function.
#[derive(Debug)]
pub struct CountingObserver(Arc<FunctionMetrics>);

/// Counts and logs the events of one function. Output of the guest is logged under the target
/// `guest`.
#[derive(Debug)]
pub struct FunctionObserver {
    name: FunctionName,
    counts: CountingObserver,
}

impl CountingObserver {
    /// Makes an observer of the function with this name.
    pub fn new(name: &FunctionName, metrics: &Metrics) -> Self {
        Self(metrics.function(name))
    }
}

impl Observer for CountingObserver {
    fn compiled(&self, took: Duration) {
        self.0.compiled(took);
    }

    fn cache(&self, hit: bool) {
        self.0.cached(hit);
    }

    fn instantiated(&self, took: Duration) {
        self.0.instantiated(took);
    }

    fn failed(&self, error: &CallError, _request_id: Option<&str>) {
        self.0.failed(error);
    }

    fn outbound(&self, outcome: Outbound) {
        self.0.called_out(outcome);
    }
}

impl FunctionObserver {
    /// Makes an observer of the function with this name.
    pub fn new(name: FunctionName, metrics: &Metrics) -> Self {
        let counts = CountingObserver::new(&name, metrics);
        Self { name, counts }
    }
}

impl Observer for FunctionObserver {
    fn compiled(&self, took: Duration) {
        self.counts.compiled(took);
        tracing::info!(function = %self.name, ?took, "compiled");
    }

    fn cache(&self, hit: bool) {
        self.counts.cache(hit);
    }

    fn instantiated(&self, took: Duration) {
        self.counts.instantiated(took);
    }

    fn failed(&self, error: &CallError, request_id: Option<&str>) {
        self.counts.failed(error, request_id);
        let cause = error.cause();
        tracing::warn!(function = %self.name, cause, request_id, %error, "a call failed");
    }

    fn outbound(&self, outcome: Outbound) {
        self.counts.outbound(outcome);
    }

    fn outbound_failed(&self, failure: &OutboundFailure<'_>, request_id: Option<&str>) {
        let OutboundFailure {
            outcome,
            scheme,
            host,
            port,
            reason,
            left_out,
        } = *failure;
        let outcome = outcome.as_str();
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

    fn output(&self, stream: Stream, line: &str, request_id: Option<&str>) {
        let stream = stream.as_str();
        tracing::info!(target: "guest", function = %self.name, stream, request_id, "{line}");
    }
}
