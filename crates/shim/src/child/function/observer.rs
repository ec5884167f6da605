//! Writes to a pod's logs: the lines of a function, and why its calls and its outbound calls failed. Counts what
//! happens for the pod's metrics.

use std::sync::Arc;
use std::time::Duration;

use sampan_engine::{CallError, Observer, Outbound, OutboundFailure, RequestId, Stream};
use sampan_runner::FunctionMetrics;

use super::output::Output;

/// Writes a function's lines as they are.
pub(super) struct PodObserver {
    pub(super) output: Output,
    /// `None` for a command, which answers no requests.
    pub(super) metrics: Option<Arc<FunctionMetrics>>,
}

impl PodObserver {
    /// Counts an event.
    fn count(&self, event: impl FnOnce(&FunctionMetrics)) {
        if let Some(metrics) = &self.metrics {
            event(metrics);
        }
    }
}

impl Observer for PodObserver {
    fn cache(&self, hit: bool) {
        self.count(|metrics| metrics.cache(hit));
    }

    fn instantiated(&self, took: Duration) {
        self.count(|metrics| metrics.instantiated(took));
    }

    fn failed(&self, error: &CallError, request_id: Option<&RequestId>) {
        self.count(|metrics| metrics.failed(error, request_id));
        let text = error.to_string();
        // A guest's stack has a line for each of its frames.
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let request = request_id.map_or("-", RequestId::as_str);
        let cause = error.cause();
        let head = format!(
            "a call failed: cause={cause} request={request} {}",
            first.escape_debug()
        );
        self.output.line(Stream::Stderr, &head);
        for line in lines {
            let line = format!("    {}", line.trim_start().escape_debug());
            self.output.line(Stream::Stderr, &line);
        }
    }

    fn outbound(&self, outcome: Outbound) {
        self.count(|metrics| metrics.outbound(outcome));
    }

    fn outbound_failed(&self, failure: &OutboundFailure<'_>, request_id: Option<&RequestId>) {
        let OutboundFailure {
            outcome,
            scheme,
            host,
            port,
            reason,
            left_out,
        } = failure;
        let request = request_id.map_or("-", RequestId::as_str);
        let outcome = outcome.as_str();
        let line = format!(
            "an outbound call failed: outcome={outcome} scheme={scheme} host={host} port={port} \
             left_out={left_out} request={request} {}",
            reason.escape_debug()
        );
        self.output.line(Stream::Stderr, &line);
    }

    fn output(&self, stream: Stream, line: &str, _request_id: Option<&RequestId>) {
        self.output.line(stream, line);
    }
}
