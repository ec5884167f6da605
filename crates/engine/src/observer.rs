//! Observer of one function's events. It connects the engine to logs and metrics.

use std::time::Duration;

use crate::error::CallError;
use crate::request_id::RequestId;

/// An output stream of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The stream's name in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The outcome of an outbound call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outbound {
    /// The head of a response arrived.
    Answered,
    /// No rule allows the scheme, host and port.
    Denied,
    /// A rule allows the name, but no rule allows the addresses to which it resolves.
    DeniedAddress,
    /// None of the request's connections became free in time.
    LimitReached,
    /// The name did not resolve, or the connection, its TLS session or the exchange failed.
    Failed,
}

impl Outbound {
    /// The outcome as a metric label.
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

/// What a call waits for that could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A processor, while other functions have used less than their shares.
    Share,
    /// The cap of its function.
    Cap,
}

impl Wait {
    /// The reason as a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Cap => "cap",
        }
    }
}

/// A refused or failed outbound call.
#[derive(Clone, Copy, Debug)]
pub struct OutboundFailure<'a> {
    /// The outcome, which is not [`Outbound::Answered`].
    pub outcome: Outbound,
    /// `http` or `https`; empty for another scheme.
    pub scheme: &'a str,
    /// The name or address in the request.
    pub host: &'a str,
    /// The port in the request, or the default of its scheme.
    pub port: u16,
    /// The rule or the reason, in one line without control characters.
    pub reason: &'a str,
    /// How many failures of this function were left out since the last report.
    pub left_out: u64,
}

/// Receives the events of one function. Every method has an empty default. The engine calls all of
/// them while it serves a request, so they must be quick.
pub trait Observer: Send + Sync {
    /// The function was compiled, in `took` of wall time.
    fn compiled(&self, took: Duration) {
        let _ = took;
    }
    /// The compiled module was looked up in the cache.
    fn cache(&self, hit: bool) {
        let _ = hit;
    }
    /// An instance was made.
    fn instantiated(&self, took: Duration) {
        let _ = took;
    }
    /// The first request of this version was answered, so long after its arrival. Only called if no instance of the version
    /// waited for it. The answer's body is still to come.
    fn cold_start(&self, took: Duration) {
        let _ = took;
    }
    /// Instances of the function have used so much processor time: in calls, and when they are made or dropped between
    /// calls. Called after each piece of work, if [`crate::EngineConfig::shared_processors`] is set.
    fn guest_time(&self, spent: Duration) {
        let _ = spent;
    }
    /// A call began to wait for a processor.
    fn waits(&self, wait: Wait) {
        let _ = wait;
    }
    /// A call failed. Called once for each failed call, even if the response's head has left.
    fn failed(&self, error: &CallError, request_id: Option<&RequestId>) {
        let _ = (error, request_id);
    }
    /// An outbound call ended or was denied.
    fn outbound(&self, outcome: Outbound) {
        let _ = outcome;
    }
    /// An outbound call was refused or failed. The engine reports ten in ten seconds at most, and
    /// counts the rest.
    fn outbound_failed(&self, failure: &OutboundFailure<'_>, request_id: Option<&RequestId>) {
        let _ = (failure, request_id);
    }
    /// The guest wrote a line. Control characters are escaped.
    fn output(&self, stream: Stream, line: &str, request_id: Option<&RequestId>) {
        let _ = (stream, line, request_id);
    }
}

/// An observer that ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}
