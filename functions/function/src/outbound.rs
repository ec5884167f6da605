//! Outbound HTTP as a function sees it: one request, one complete answer of bounded length. Redirects, retries and
//! streams are deliberately absent.

use std::future::Future;

use thiserror::Error;

use crate::Url;

/// The way out. Each front end has one: `wasi:http/outgoing-handler`, or a client with a pool of connections.
pub trait Http: Sync {
    /// Sends a request and reads the whole answer, whatever its status.
    fn send(
        &self,
        request: OutboundRequest<'_>,
    ) -> impl Future<Output = Result<OutboundResponse, OutboundError>> + Send;
}

/// A request to another service.
#[derive(Clone, Copy, Debug)]
pub struct OutboundRequest<'a> {
    /// Where to.
    pub url: &'a Url,
    /// A JSON document to POST. GET without one.
    pub json: Option<&'a [u8]>,
    /// The longest body that is accepted in return.
    pub longest: usize,
}

/// Another service's answer.
#[derive(Clone, Debug)]
pub struct OutboundResponse {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

impl OutboundResponse {
    /// Whether the service says that it did what it was asked for.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum OutboundError {
    /// The request could not be sent, or the answer not be received.
    #[error("{0}")]
    Transport(String),

    /// The answer is longer than the function takes.
    #[error("its answer is longer than {longest} bytes")]
    TooLong {
        /// The longest body that is accepted.
        longest: usize,
    },

    /// The answer is not what the function needs.
    #[error("its answer {0}")]
    Unusable(&'static str),
}
