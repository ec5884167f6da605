//! Reasons why an outbound call has no response, with their error codes of wasi:http.

use wasmtime_wasi_http::Error;

use super::client::{SendError, body_code};
use super::connect_error::ConnectError;
use crate::observer::Outbound;

/// Reasons why an outbound call has no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no rule of outbound.allow allows it")]
    Denied,
    #[error("CONNECT asks for a tunnel, which wasi:http does not have")]
    Connect,
    #[error("the request's body failed: {0}")]
    Body(Error),
    #[error("the request's body did not begin in time")]
    BodyTimeout,
    #[error("none of the {0} connections that limits.outboundConnections allows became free")]
    Limit(u32),
    #[error(transparent)]
    Send(#[from] SendError),
}

impl Failure {
    /// The error code of wasi:http.
    pub(crate) fn code(&self) -> Error {
        match self {
            Self::Denied => Error::HttpRequestDenied,
            Self::Connect => Error::HttpRequestMethodInvalid,
            Self::Body(error) => body_code(error),
            Self::BodyTimeout => Error::ConnectionWriteTimeout,
            Self::Limit(_) => Error::ConnectionLimitReached,
            Self::Send(error) => error.code(),
        }
    }

    /// The outcome for the function's observer.
    pub(crate) fn outcome(&self) -> Outbound {
        match self {
            Self::Denied => Outbound::Denied,
            Self::Limit(_) => Outbound::LimitReached,
            Self::Send(SendError::Connect(ConnectError::Denied { .. })) => Outbound::DeniedAddress,
            Self::Connect | Self::Body(_) | Self::BodyTimeout | Self::Send(_) => Outbound::Failed,
        }
    }
}
