//! Outbound HTTP for functions: one request, and one complete answer of bounded length. Redirects,
//! retries and streams are deliberately absent.

use std::future::Future;

use thiserror::Error;

use crate::Url;

/// An HTTP client. Each front end has one: `wasi:http/outgoing-handler`, or a client with a pool of
/// connections.
pub trait Http: Sync {
    /// Sends a request and reads the whole answer, with any status.
    fn send(
        &self,
        request: OutboundRequest<'_>,
    ) -> impl Future<Output = Result<OutboundResponse, OutboundError>> + Send;
}

/// A request to another service.
#[derive(Clone, Copy, Debug)]
pub struct OutboundRequest<'a> {
    /// The URL.
    pub url: &'a Url,
    /// A JSON document to POST. Without one, the method is GET.
    pub json: Option<&'a [u8]>,
    /// The greatest accepted length of the answer's body.
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
    /// Whether the status reports success.
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
        /// The greatest accepted length of the body.
        longest: usize,
    },

    /// The answer is not in the form that the function needs.
    #[error("its answer {0}")]
    Unusable(&'static str),
}
