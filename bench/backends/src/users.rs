//! The REST front of the table of users, as pREST serves it: `POST /prest/public/users` inserts a row
//! and answers it, `GET` of the same path reads rows back. It speaks HTTP and refuses early; the rows
//! and the statements are [`table`]'s.

mod page;
mod refusal;
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
use refusal::Refusal;
use row::User;
use table::Table;

pub use table::TableError as UsersError;
pub(crate) use table::connect;

/// The database, as the path names it.
pub(crate) const DATABASE: &str = "prest";

/// The path of the table: database, schema and name.
const ROUTE: &str = "/prest/public/users";

/// Whether the database can be reached.
const HEALTH: &str = "/_health";

/// The longest body; a row of fake data has a few hundred bytes.
const LONGEST_BODY: usize = 64 * 1024;

/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The front.
pub(crate) struct Users {
    table: Table,
}

impl Users {
    pub(crate) fn new(table: Table) -> Users {
        Users { table }
    }

    async fn dispatch(&self, request: Request<Incoming>) -> Result<Answer, Refusal> {
        match (request.uri().path(), request.method()) {
            (ROUTE, &Method::GET) => self.read(request.uri().query()).await,
            (ROUTE, &Method::POST) => self.insert(request.into_body()).await,
            (ROUTE, _) => Err(Refusal::Method("GET, POST")),
            (HEALTH, &Method::GET) => self.health().await,
            (HEALTH, _) => Err(Refusal::Method("GET")),
            _ => Err(Refusal::Path),
        }
    }

    async fn insert(&self, body: Incoming) -> Result<Answer, Refusal> {
        let user = User::parse(&collect(body).await?).map_err(Refusal::User)?;
        let row = self.table.insert(user).await.map_err(Refusal::Table)?;
        Ok(json(StatusCode::CREATED, &row))
    }

    async fn read(&self, query: Option<&str>) -> Result<Answer, Refusal> {
        match Selection::parse(query.unwrap_or_default()).map_err(Refusal::Selection)? {
            Selection::Count => {
                let count = self.table.count().await.map_err(Refusal::Table)?;
                Ok(json(
                    StatusCode::OK,
                    &serde_json::json!([{ "count": count }]),
                ))
            }
            Selection::Page(page) => {
                let rows = self.table.read(page).await.map_err(Refusal::Table)?;
                Ok(json(StatusCode::OK, &rows))
            }
        }
    }

    async fn health(&self) -> Result<Answer, Refusal> {
        self.table.check().await.map_err(Refusal::Table)?;
        Ok(json(StatusCode::OK, &serde_json::json!({ "status": "ok" })))
    }
}

impl Handler for Users {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        self.dispatch(request)
            .await
            .unwrap_or_else(|refusal| refuse(&refusal))
    }
}

async fn collect(body: Incoming) -> Result<Bytes, Refusal> {
    let whole = timeout(BODY_TIME, Limited::new(body, LONGEST_BODY).collect()).await;
    match whole.map_err(|_elapsed| Refusal::BodyTime)? {
        Ok(whole) => {
            let mut whole = whole.aggregate();
            Ok(whole.copy_to_bytes(whole.remaining()))
        }
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::BodyLength(LONGEST_BODY)),
        Err(error) => Err(Refusal::Body(error)),
    }
}

/// The one place where a refusal becomes HTTP.
fn refuse(refusal: &Refusal) -> Answer {
    let message = refusal.message();
    let mut answer = json(refusal.status(), &serde_json::json!({ "error": message }));
    if let Refusal::Method(allowed) = refusal {
        answer
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static(allowed));
    }
    answer
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    // Numbers, texts and objects of them: none of these can fail to be written.
    let body = serde_json::to_vec(value).expect("rows are always JSON");
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let media_type = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, media_type);
    answer
}
