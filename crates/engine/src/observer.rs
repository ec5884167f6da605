//! What the engine tells of one function: the seam to logs and metrics, which it does not know.

use std::time::Duration;

use crate::error::CallError;

/// Where a guest wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The stream's name as logs show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// How an outbound call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// An answer's head arrived.
    Answered,
    /// No rule allows the scheme, host and port.
    Denied,
    /// A rule allows the name, but none the addresses that it resolves to.
    DeniedAddress,
    /// The request has as many outbound calls open as it may.
    LimitReached,
    /// The connection or the exchange failed.
    Failed,
}

impl Outbound {
    /// The outcome's name as a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Denied => "denied",
            Self::DeniedAddress => "denied_address",
            Self::LimitReached => "limit_reached",
            Self::Failed => "failed",
        }
    }
}

/// Told of what happens to one function. Every method has an empty default; all are called on the
/// request's way and must be quick.
pub trait Observer: Send + Sync {
    /// The function was compiled, in `took` of wall time.
    fn compiled(&self, took: Duration) {
        let _ = took;
    }
    /// The compiled module was looked for in the cache.
    fn cache(&self, hit: bool) {
        let _ = hit;
    }
    /// An instance was made.
    fn instantiated(&self, took: Duration) {
        let _ = took;
    }
    /// A call failed. Told once a failed call, also when it fails after the answer's head was sent.
    fn failed(&self, error: &CallError, request_id: Option<&str>) {
        let _ = (error, request_id);
    }
    /// An outbound call ended, or was refused.
    fn outbound(&self, outcome: Outbound) {
        let _ = outcome;
    }
    /// The guest wrote a line, already made harmless: control characters are escaped.
    fn output(&self, stream: Stream, line: &str, request_id: Option<&str>) {
        let _ = (stream, line, request_id);
    }
}

/// An observer that ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}
