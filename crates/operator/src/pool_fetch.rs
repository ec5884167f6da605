//! Fetches the report of one pod of a pool over HTTP/1.1.
//!
//! A tenant can run a pod that counts as one of a pool. So each answer is bounded in time and size, and
//! all answers together in size.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sampan_crd::pool_report::{LONGEST_WAIT, PoolReport};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::pool_reports::Cursor;

/// Time limit of a connection to a pod.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Time limit of the head of an answer, beyond the wait that the query asks for.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit of the body of an answer.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The most bytes of an answer, and of each function in it. A function takes some hundred.
const ANSWER_BYTES: usize = 64 << 10;
const FUNCTION_BYTES: usize = 2 << 10;

/// What is asked of a pod.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Query<'a> {
    /// Everything.
    All,
    /// What has changed, once something has.
    Changes(&'a Cursor),
    /// The functions that had a request in this time.
    Active(Duration),
}

impl Query<'_> {
    fn path(self) -> String {
        match self {
            Self::All => "/functions".to_owned(),
            Self::Changes(Cursor { boot, revision }) => {
                format!("/functions?boot={boot}&after={revision}")
            }
            Self::Active(time) => {
                let seconds = time.saturating_add(Duration::from_millis(999)).as_secs();
                format!("/functions?active={seconds}")
            }
        }
    }

    /// The time in which an answer has to begin.
    fn head_limit(self) -> Duration {
        let wait = match self {
            Self::Changes(_) => LONGEST_WAIT,
            Self::All | Self::Active(_) => Duration::ZERO,
        };
        wait.saturating_add(HEAD_TIMEOUT)
    }
}

/// Bounds the bodies that are read at the same time.
#[derive(Debug)]
pub(crate) struct BodyBudget {
    kibibytes: u32,
    free: Semaphore,
}

impl BodyBudget {
    /// Lets bodies of that many KiB be read at the same time.
    pub(crate) fn new(kibibytes: u32) -> Self {
        Self {
            kibibytes,
            free: Semaphore::new(kibibytes as usize),
        }
    }
}

/// Reasons why a pod has no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no connection within {} s", CONNECT_TIMEOUT.as_secs())]
    ConnectTimeout,
    #[error("no connection")]
    Connect(#[source] std::io::Error),
    #[error("no answer within {} s", .0.as_secs())]
    HeadTimeout(Duration),
    #[error("the answer took more than {} s", BODY_TIMEOUT.as_secs())]
    BodyTimeout,
    #[error("the connection broke")]
    Http(#[source] hyper::Error),
    #[error("the request cannot be made")]
    Request(#[source] http::Error),
    #[error("the answer has more than {0} bytes")]
    TooLong(usize),
    #[error("the answer broke off")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the answer is not a report")]
    Malformed(#[source] serde_json::Error),
}

/// The most bytes of a report about that many functions.
pub(crate) fn most_bytes(functions: usize) -> usize {
    ANSWER_BYTES.saturating_add(FUNCTION_BYTES.saturating_mul(functions))
}

/// Fetches one report of at most this many bytes.
pub(crate) async fn fetch(
    address: SocketAddr,
    query: Query<'_>,
    most: usize,
    bodies: &BodyBudget,
) -> Result<PoolReport, FetchError> {
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| FetchError::ConnectTimeout)?
        .map_err(FetchError::Connect)?;
    let request = Request::get(query.path())
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(FetchError::Request)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(FetchError::Http)?;
    let limit = query.head_limit();
    let mut answer = std::pin::pin!(exchange(sender, request, limit, most, bodies));
    // The connection makes progress here, so that it ends with the poll.
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => {
            ended.map_err(FetchError::Http)?;
            answer.await
        }
    }
}

async fn exchange(
    mut sender: http1::SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
    limit: Duration,
    most: usize,
    bodies: &BodyBudget,
) -> Result<PoolReport, FetchError> {
    let response = timeout(limit, sender.send_request(request))
        .await
        .map_err(|_| FetchError::HeadTimeout(limit))?
        .map_err(FetchError::Http)?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    let share = u32::try_from(most.div_ceil(1 << 10)).unwrap_or(bodies.kibibytes);
    // The semaphore is never closed.
    let _share = bodies.free.acquire_many(share.min(bodies.kibibytes)).await;
    let most = most.min((bodies.kibibytes as usize) << 10);
    let body = timeout(
        BODY_TIMEOUT,
        Limited::new(response.into_body(), most).collect(),
    )
    .await
    .map_err(|_| FetchError::BodyTimeout)?;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            FetchError::TooLong(most)
        } else {
            FetchError::Body(error)
        }
    })?;
    serde_json::from_slice(&body.to_bytes()).map_err(FetchError::Malformed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Request, Response, StatusCode};
    use http_body_util::Full;
    use hyper::body::{Bytes, Incoming};
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use sampan_crd::pool_report::PoolReport;
    use tokio::net::TcpListener;

    use super::{BodyBudget, FetchError, HEAD_TIMEOUT, LONGEST_WAIT, Query, fetch};
    use crate::pool_reports::Cursor;

    /// Serves one answer, and returns the poll's result with the path that it asked for.
    async fn poll(
        status: u16,
        body: &str,
        query: Query<'_>,
    ) -> (Result<PoolReport, FetchError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (asked, path) = tokio::sync::oneshot::channel();
        let asked = std::sync::Mutex::new(Some(asked));
        let served = async {
            let (stream, _) = listener.accept().await.expect("a connection");
            let service = service_fn(|request: Request<Incoming>| {
                let asked = asked.lock().expect("no panic").take().expect("one request");
                let _ = asked.send(request.uri().to_string());
                async move {
                    let mut response = Response::new(Full::new(Bytes::from(body.to_owned())));
                    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
                    Ok::<_, std::convert::Infallible>(response)
                }
            });
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
        };
        let bodies = BodyBudget::new(1);
        let (result, served) = tokio::join!(fetch(address, query, 1_000, &bodies), served);
        assert_eq!(bodies.free.available_permits(), 1);
        // An answer that is too long is cut.
        let cut = matches!(result, Err(FetchError::TooLong(_)));
        assert!(cut || served.is_ok(), "{served:?}");
        (result, path.await.expect("a request"))
    }

    #[tokio::test]
    async fn a_report_is_fetched_from_where_the_last_one_ended() {
        let body = r#"{"boot":"b","revision":7,"complete":true,"listed":true,"functions":[]}"#;
        let (result, path) = poll(200, body, Query::All).await;
        assert_eq!(path, "/functions");
        let report = result.expect("a report");
        assert_eq!((report.boot.as_str(), report.revision), ("b", 7));
        let cursor = Cursor {
            boot: "b".to_owned(),
            revision: 7,
        };
        let (result, path) = poll(200, body, Query::Changes(&cursor)).await;
        assert_eq!(path, "/functions?boot=b&after=7");
        assert!(result.is_ok());
        let active = Query::Active(Duration::from_millis(70_500));
        let (result, path) = poll(200, body, active).await;
        assert_eq!(path, "/functions?active=71");
        assert!(result.is_ok());
    }

    #[tokio::test]
    async fn other_answers_are_errors() {
        let (result, _) = poll(503, "", Query::All).await;
        assert!(matches!(result, Err(FetchError::Status(_))), "{result:?}");
        let (result, _) = poll(200, "{}", Query::All).await;
        assert!(
            matches!(result, Err(FetchError::Malformed(_))),
            "{result:?}"
        );
        let (result, _) = poll(200, &"x".repeat(1_001), Query::All).await;
        assert!(matches!(result, Err(FetchError::TooLong(_))), "{result:?}");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        drop(listener);
        let bodies = BodyBudget::new(1);
        let result = fetch(address, Query::All, 1_000, &bodies).await;
        assert!(matches!(result, Err(FetchError::Connect(_))), "{result:?}");
    }

    #[test]
    fn an_answer_that_needs_no_change_comes_soon() {
        let cursor = Cursor {
            boot: String::new(),
            revision: 1,
        };
        let check = |query: Query<'_>, wait| assert_eq!(query.head_limit(), wait, "{query:?}");
        check(Query::All, HEAD_TIMEOUT);
        check(Query::Active(LONGEST_WAIT), HEAD_TIMEOUT);
        check(Query::Changes(&cursor), LONGEST_WAIT + HEAD_TIMEOUT);
    }
}
