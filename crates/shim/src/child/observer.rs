//! Writes to a pod's logs: the lines of a function, and why its calls and its outbound calls failed. Counts for its
//! metrics.

use std::time::Duration;

use sampan_engine::{CallError, Observer, Outbound, OutboundFailure, Stream};
use sampan_runner::CountingObserver;

use super::output::Output;

/// Writes a function's lines as they are.
pub(super) struct PodObserver {
    pub(super) output: Output,
    /// `None` for a command, which has no metrics.
    pub(super) counts: Option<CountingObserver>,
}

impl Observer for PodObserver {
    fn cache(&self, hit: bool) {
        if let Some(counts) = &self.counts {
            counts.cache(hit);
        }
    }

    fn instantiated(&self, took: Duration) {
        if let Some(counts) = &self.counts {
            counts.instantiated(took);
        }
    }

    fn outbound(&self, outcome: Outbound) {
        if let Some(counts) = &self.counts {
            counts.outbound(outcome);
        }
    }

    fn failed(&self, error: &CallError, request_id: Option<&str>) {
        if let Some(counts) = &self.counts {
            counts.failed(error, request_id);
        }
        let text = error.to_string();
        // A guest's stack has a line for each of its frames.
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let request = request_id.unwrap_or("-");
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

    fn outbound_failed(&self, failure: &OutboundFailure<'_>, request_id: Option<&str>) {
        let OutboundFailure {
            outcome,
            scheme,
            host,
            port,
            reason,
            left_out,
        } = failure;
        let request = request_id.unwrap_or("-");
        let outcome = outcome.as_str();
        let line = format!(
            "an outbound call failed: outcome={outcome} scheme={scheme} host={host} port={port} \
             left_out={left_out} request={request} {}",
            reason.escape_debug()
        );
        self.output.line(Stream::Stderr, &line);
    }

    fn output(&self, stream: Stream, line: &str, _request_id: Option<&str>) {
        self.output.line(stream, line);
    }
}
