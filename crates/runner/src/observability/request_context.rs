//! Context of a request: its identifier, its trace and its client.
//!
//! It is parsed once, from the head. The log line, the call and the response take it from here and
//! do not read the head again.

use std::net::SocketAddr;

use http::HeaderMap;
use sampan_engine::RequestId;

use super::request_id;
use super::trace::{Trace, continue_trace};

#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    pub(crate) request_id: RequestId,
    /// The trace that the function continues. `None` if the client sent no valid one.
    pub(crate) trace: Option<Trace>,
    pub(crate) peer: SocketAddr,
}

impl RequestContext {
    /// Takes the context from the head of a request of `peer`. The head then has the fields that
    /// the function gets.
    pub(crate) fn take(headers: &mut HeaderMap, peer: SocketAddr) -> Self {
        Self {
            request_id: request_id::take(headers),
            trace: continue_trace(headers),
            peer,
        }
    }
}
