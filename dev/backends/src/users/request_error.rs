//! Errors of requests, and their HTTP status.

use std::error::Error;

use http::StatusCode;
use thiserror::Error;

use super::page::SelectionError;
use super::row::UserError;
use super::table::TableError;

/// Why a request has no row as its answer.
#[derive(Debug, Error)]
pub(super) enum RequestError {
    #[error("there are only /prest/public/users and /_health")]
    Path,
    #[error("use one of these methods: {0}")]
    Method(&'static str),
    #[error("the body has more than {0} bytes")]
    BodyLength(usize),
    #[error("the body took too long")]
    BodyTime,
    #[error("the body could not be read")]
    Body(#[source] Box<dyn Error + Send + Sync>),
    #[error("{0}")]
    User(UserError),
    #[error("{0}")]
    Selection(SelectionError),
    #[error("{0}")]
    Table(TableError),
}

impl RequestError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            RequestError::Path => StatusCode::NOT_FOUND,
            RequestError::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            RequestError::BodyLength(_) => StatusCode::PAYLOAD_TOO_LARGE,
            RequestError::BodyTime => StatusCode::REQUEST_TIMEOUT,
            RequestError::Body(_)
            | RequestError::User(_)
            | RequestError::Selection(_)
            | RequestError::Table(TableError::Values(_)) => StatusCode::BAD_REQUEST,
            RequestError::Table(TableError::Unreachable(_) | TableError::Broken(_)) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            RequestError::Table(TableError::Failed(_)) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The message for the client. Causes inside the database are left out.
    pub(super) fn message(&self) -> String {
        self.to_string()
    }
}
