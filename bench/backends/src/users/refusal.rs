//! Why a request is refused, and what HTTP calls that.

use std::error::Error;

use http::StatusCode;
use thiserror::Error;

use super::page::SelectionError;
use super::row::UserError;
use super::table::TableError;

/// A request that gets no row.
#[derive(Debug, Error)]
pub(super) enum Refusal {
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

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Refusal::Path => StatusCode::NOT_FOUND,
            Refusal::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::BodyLength(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::BodyTime => StatusCode::REQUEST_TIMEOUT,
            Refusal::Body(_)
            | Refusal::User(_)
            | Refusal::Selection(_)
            | Refusal::Table(TableError::Values(_)) => StatusCode::BAD_REQUEST,
            Refusal::Table(TableError::Unreachable(_) | TableError::Broken(_)) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Refusal::Table(TableError::Failed(_)) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the client is told. Causes inside the database stay inside.
    pub(super) fn message(&self) -> String {
        self.to_string()
    }
}
