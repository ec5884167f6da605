//! Polls one pod of a pool for its report, while the pod exists.
//!
//! A long poll over HTTP/1.1: the pod answers when something has changed. Each answer is bounded in
//! time and size, and a pod that does not answer is asked less often.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sampan_crd::METRICS_PORT;
use sampan_crd::pool_report::{LONGEST_WAIT, PoolReport};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::pool_reports::{Cursor, PodKey, PoolReports};
use crate::touched::Touched;

/// Time limit of a connection to a pod.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Time limit of an answer beyond the pod's own wait.
const ANSWER_TIMEOUT: Duration = LONGEST_WAIT.saturating_add(Duration::from_secs(5));

/// The most bytes of an answer. A function takes some hundred.
const MAX_BYTES: usize = 32 << 20;

/// The shortest time between two polls of a pod.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest time between two polls of a pod that does not answer.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// A poll without a usable answer.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error("no connection within {} s", CONNECT_TIMEOUT.as_secs())]
    ConnectTimeout,
    #[error("no connection")]
    Connect(#[source] std::io::Error),
    #[error("no answer within {} s", ANSWER_TIMEOUT.as_secs())]
    AnswerTimeout,
    #[error("the connection broke")]
    Http(#[source] hyper::Error),
    #[error("the request cannot be made")]
    Request(#[source] http::Error),
    #[error("the answer has more than {MAX_BYTES} bytes")]
    TooLong,
    #[error("the answer broke off")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the answer is not a report")]
    Malformed(#[source] serde_json::Error),
}

/// Polls a pod until the task is ended.
pub(crate) async fn poll(
    pod: PodKey,
    address: IpAddr,
    reports: Arc<PoolReports>,
    touched: Touched,
) {
    let address = SocketAddr::new(address, METRICS_PORT);
    let mut failures = 0_u32;
    loop {
        let cursor = reports.cursor(&pod);
        let names = match fetch(address, cursor.as_ref()).await {
            Ok(report) => {
                failures = 0;
                reports.record(&pod, report)
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::debug!(namespace = pod.namespace, %address, %error, source, "a pod of the pool did not report");
                reports.fail(&pod)
            }
        };
        touched.functions(&pod.namespace, names).await;
        sleep(pause(failures)).await;
    }
}

fn pause(failures: u32) -> Duration {
    (PAUSE * (1 << failures.min(8))).min(LONGEST_BACKOFF)
}

/// Fetches one report.
async fn fetch(address: SocketAddr, cursor: Option<&Cursor>) -> Result<PoolReport, PollError> {
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| PollError::ConnectTimeout)?
        .map_err(PollError::Connect)?;
    timeout(ANSWER_TIMEOUT, exchange(stream, address, cursor))
        .await
        .map_err(|_| PollError::AnswerTimeout)?
}

async fn exchange(
    stream: TcpStream,
    address: SocketAddr,
    cursor: Option<&Cursor>,
) -> Result<PoolReport, PollError> {
    let path = match cursor {
        None => "/functions".to_owned(),
        Some(Cursor { boot, revision }) => format!("/functions?boot={boot}&after={revision}"),
    };
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(PollError::Request)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(PollError::Http)?;
    let answer = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(PollError::Http)?;
        if response.status() != StatusCode::OK {
            return Err(PollError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_BYTES)
            .collect()
            .await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                PollError::TooLong
            } else {
                PollError::Body(error)
            }
        })?;
        serde_json::from_slice(&body.to_bytes()).map_err(PollError::Malformed)
    };
    let mut answer = std::pin::pin!(answer);
    // The connection makes progress here, so that it ends with the poll.
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => {
            ended.map_err(PollError::Http)?;
            answer.await
        }
    }
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

    use super::{LONGEST_BACKOFF, PAUSE, PollError, fetch, pause};
    use crate::pool_reports::Cursor;

    /// Serves one answer, and returns the poll's result with the path that it asked for.
    async fn poll(
        status: u16,
        body: &'static str,
        cursor: Option<&Cursor>,
    ) -> (Result<PoolReport, PollError>, String) {
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
                    let mut response =
                        Response::new(Full::new(Bytes::from_static(body.as_bytes())));
                    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
                    Ok::<_, std::convert::Infallible>(response)
                }
            });
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
        };
        let (result, served) = tokio::join!(fetch(address, cursor), served);
        served.expect("the connection ends well");
        (result, path.await.expect("a request"))
    }

    #[tokio::test]
    async fn a_report_is_fetched_from_where_the_last_one_ended() {
        let body = r#"{"boot":"b","revision":7,"complete":true,"listed":true,"functions":[]}"#;
        let (result, path) = poll(200, body, None).await;
        assert_eq!(path, "/functions");
        let report = result.expect("a report");
        assert_eq!((report.boot.as_str(), report.revision), ("b", 7));
        let cursor = Cursor {
            boot: "b".to_owned(),
            revision: 7,
        };
        let (result, path) = poll(200, body, Some(&cursor)).await;
        assert_eq!(path, "/functions?boot=b&after=7");
        assert!(result.is_ok());
    }

    #[tokio::test]
    async fn other_answers_are_errors() {
        let (result, _) = poll(503, "", None).await;
        assert!(matches!(result, Err(PollError::Status(_))), "{result:?}");
        let (result, _) = poll(200, "{}", None).await;
        assert!(matches!(result, Err(PollError::Malformed(_))), "{result:?}");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        drop(listener);
        let result = fetch(address, None).await;
        assert!(matches!(result, Err(PollError::Connect(_))), "{result:?}");
    }

    #[test]
    fn a_silent_pod_is_asked_less_often() {
        assert_eq!(pause(0), PAUSE);
        assert_eq!(pause(1), Duration::from_millis(200));
        assert_eq!(pause(8), LONGEST_BACKOFF);
        assert_eq!(pause(u32::MAX), LONGEST_BACKOFF);
    }
}
