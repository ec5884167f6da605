//! The REST front of the table of users, compatible with pREST.
//!
//! `POST /prest/public/users` inserts a row and returns it; `GET` of the same path reads rows. This
//! module handles HTTP and rejects invalid requests; [`table`] has the rows and the statements.

mod page;
mod request_error;
mod row;
mod table;

use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use tokio::time::timeout;

use crate::server::{Answer, Handler};
use page::Selection;
use request_error::RequestError;
use row::User;
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

/// The front.
pub(crate) struct Users {
    table: Table,
}

impl Users {
    pub(crate) fn new(table: Table) -> Users {
        Users { table }
    }

    async fn dispatch(&self, request: Request<Incoming>) -> Result<Answer, RequestError> {
        match (request.uri().path(), request.method()) {
            (ROUTE, &Method::GET) => self.read(request.uri().query()).await,
            (ROUTE, &Method::POST) => self.insert(request.into_body()).await,
            (ROUTE, _) => Err(RequestError::Method("GET, POST")),
            (HEALTH, &Method::GET) => self.health().await,
            (HEALTH, _) => Err(RequestError::Method("GET")),
            _ => Err(RequestError::Path),
        }
    }

    async fn insert(&self, body: Incoming) -> Result<Answer, RequestError> {
        let user = User::parse(&collect(body).await?).map_err(RequestError::User)?;
        let row = self.table.insert(user).await.map_err(RequestError::Table)?;
        Ok(json(StatusCode::CREATED, &row))
    }

    async fn read(&self, query: Option<&str>) -> Result<Answer, RequestError> {
        match Selection::parse(query.unwrap_or_default()).map_err(RequestError::Selection)? {
            Selection::Count => {
                let count = self.table.count().await.map_err(RequestError::Table)?;
                Ok(json(
                    StatusCode::OK,
                    &serde_json::json!([{ "count": count }]),
                ))
            }
            Selection::Page(page) => {
                let rows = self.table.read(page).await.map_err(RequestError::Table)?;
                Ok(json(StatusCode::OK, &rows))
            }
        }
    }

    async fn health(&self) -> Result<Answer, RequestError> {
        self.table.check().await.map_err(RequestError::Table)?;
        Ok(json(StatusCode::OK, &serde_json::json!({ "status": "ok" })))
    }
}

impl Handler for Users {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        self.dispatch(request)
            .await
            .unwrap_or_else(|error| error_answer(&error))
    }
}

async fn collect(body: Incoming) -> Result<Bytes, RequestError> {
    let whole = timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_LENGTH).collect()).await;
    match whole.map_err(|_elapsed| RequestError::BodyTime)? {
        Ok(whole) => {
            let mut whole = whole.aggregate();
            Ok(whole.copy_to_bytes(whole.remaining()))
        }
        Err(error) if error.is::<LengthLimitError>() => {
            Err(RequestError::BodyLength(MAX_BODY_LENGTH))
        }
        Err(error) => Err(RequestError::Body(error)),
    }
}

/// The only place that maps an error to HTTP.
fn error_answer(error: &RequestError) -> Answer {
    let message = error.message();
    let mut answer = json(error.status(), &serde_json::json!({ "error": message }));
    if let RequestError::Method(allowed) = error {
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static(allowed));
    }
    answer
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    // It consists of numbers, texts and objects, none of which can fail to be written.
    let body = serde_json::to_vec(value).expect("rows are always JSON");
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let media_type = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, media_type);
    answer
}
