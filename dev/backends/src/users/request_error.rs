//! Errors of requests, and their HTTP status.

use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
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
    Body(#[source] BytesRejection),
    #[error("{0}")]
    User(UserError),
    #[error("{0}")]
    Selection(SelectionError),
    #[error("{0}")]
    Table(TableError),
}

impl RequestError {
    fn status(&self) -> StatusCode {
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
}

/// The only place that maps an error to HTTP. Causes inside the database are left out.
impl IntoResponse for RequestError {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.to_string() }));
        (self.status(), body).into_response()
    }
}
