//! Writes to a pod's logs: the lines of a function, and why a call failed.

use sampan_engine::{CallError, Observer, Stream};

use super::output::Output;

/// Writes a function's lines as they are.
pub(super) struct PodObserver {
    pub(super) output: Output,
}

impl Observer for PodObserver {
    fn failed(&self, error: &CallError, request_id: Option<&str>) {
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

    fn output(&self, stream: Stream, line: &str, _request_id: Option<&str>) {
        self.output.line(stream, line);
    }
}
