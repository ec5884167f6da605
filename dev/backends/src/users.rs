//! The REST front of the table of users, compatible with pREST.
//!
//! `POST /prest/public/users` inserts a row and returns it; `GET` of the same path reads rows. This
//! module handles HTTP and rejects invalid requests; [`table`] has the rows and the statements.

mod page;
mod request_error;
mod row;
mod table;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{DefaultBodyLimit, FromRequest as _, RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::timeout;

use page::Selection;
use request_error::RequestError;
use row::{Row, User};
use table::Table;

pub use table::TableError as UsersError;
pub(crate) use table::connect;

/// The database in the path.
pub(crate) const DATABASE: &str = "prest";

/// The path of the table: database, schema and name.
const ROUTE: &str = "/prest/public/users";

/// The path of the health check, which checks the database as well.
const HEALTH: &str = "/_health";

/// The greatest length of a body; a row of fake data has a few hundred bytes.
const MAX_BODY_LENGTH: usize = 64 * 1024;

/// The timeout of a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The front's routes.
pub(crate) fn router(table: Table) -> Router {
    // A method that a route does not know gets `Allow` from the router.
    let other_on_rows = || async { RequestError::Method("GET, POST") };
    let other_on_health = || async { RequestError::Method("GET") };
    Router::new()
        .route(ROUTE, get(read).post(insert).fallback(other_on_rows))
        .route(HEALTH, get(health).fallback(other_on_health))
        .fallback(|| async { RequestError::Path })
        .layer(DefaultBodyLimit::max(MAX_BODY_LENGTH))
        .with_state(Arc::new(table))
}

async fn insert(
    State(table): State<Arc<Table>>,
    request: Request,
) -> Result<(StatusCode, Json<Row>), RequestError> {
    let user = User::parse(&collect(request).await?).map_err(RequestError::User)?;
    let row = table.insert(user).await.map_err(RequestError::Table)?;
    Ok((StatusCode::CREATED, Json(row)))
}

async fn read(
    State(table): State<Arc<Table>>,
    RawQuery(query): RawQuery,
) -> Result<Response, RequestError> {
    let query = query.unwrap_or_default();
    match Selection::parse(&query).map_err(RequestError::Selection)? {
        Selection::Count => {
            let count = table.count().await.map_err(RequestError::Table)?;
            Ok(Json(json!([{ "count": count }])).into_response())
        }
        Selection::Page(page) => {
            let rows = table.read(page).await.map_err(RequestError::Table)?;
            Ok(Json(rows).into_response())
        }
    }
}

async fn health(State(table): State<Arc<Table>>) -> Result<Json<Value>, RequestError> {
    table.check().await.map_err(RequestError::Table)?;
    Ok(Json(json!({ "status": "ok" })))
}

async fn collect(request: Request) -> Result<Bytes, RequestError> {
    let whole = timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await;
    whole
        .map_err(|_elapsed| RequestError::BodyTime)?
        .map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
                RequestError::BodyLength(MAX_BODY_LENGTH)
            }
            other => RequestError::Body(other),
        })
}
