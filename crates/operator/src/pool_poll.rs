//! Polls one pod of a pool for its report, while the pod exists.
//!
//! A long poll over HTTP/1.1: the pod answers when something has changed. A tenant can run a pod
//! that counts as one of a pool. So each answer is bounded in time and size, all answers together
//! in size, and the number of polls in time. A pod that does not answer is asked less often.

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
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use crate::pool_reports::{Cursor, PodKey};
use crate::pools::Pools;
use crate::touched::Touched;

/// Time limit of a connection to a pod.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Time limit of the head of an answer, beyond the wait that the poll asks for.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit of the body of an answer.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The most bytes of an answer, and of each function in it. A function takes some hundred.
const ANSWER_BYTES: usize = 64 << 10;
const FUNCTION_BYTES: usize = 2 << 10;

/// The KiB of all bodies that are read at the same time.
const BODY_BUDGET: u32 = 48 << 10;

/// Functions in a pod's reports beyond those that the namespace has: deleted ones, or new ones that
/// the cache does not have yet.
const SPARE_FUNCTIONS: usize = 1_024;

/// The shortest time between two polls of a pod.
const PAUSE: Duration = Duration::from_millis(100);

/// Polls of a pod that may follow each other at once, and the time after which there is one more.
const BURST: u32 = 5;
const INTERVAL: Duration = Duration::from_secs(1);

/// The longest time between two polls of a pod that does not answer.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// A poll without a usable answer.
#[derive(Debug, thiserror::Error)]
enum PollError {
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

/// What the pollers of all pods share.
#[derive(Clone)]
pub(crate) struct Polling {
    pools: Arc<Pools>,
    touched: Touched,
    bodies: Arc<Semaphore>,
}

impl Polling {
    pub(crate) fn new(pools: Arc<Pools>, touched: Touched) -> Self {
        Self {
            pools,
            touched,
            bodies: Arc::new(Semaphore::new(BODY_BUDGET as usize)),
        }
    }

    /// Polls a pod until the task is ended. A pod that gets ready is polled at once.
    pub(crate) async fn poll(self, pod: PodKey, address: IpAddr, ready: Arc<Notify>) {
        let address = SocketAddr::new(address, METRICS_PORT);
        let Pools { ports, reports, .. } = &*self.pools;
        let mut failures = 0_u32;
        let mut pace = Pace::new(Instant::now());
        loop {
            let cursor = reports.cursor(&pod);
            let functions = ports.count(&pod.namespace);
            let most = ANSWER_BYTES.saturating_add(FUNCTION_BYTES.saturating_mul(functions));
            let changed = match fetch(address, cursor.as_ref(), most, &self.bodies).await {
                Ok(report) => {
                    failures = 0;
                    reports.record(&pod, report, functions.saturating_add(SPARE_FUNCTIONS))
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::debug!(namespace = pod.namespace, %address, %error, source, "a pod of the pool did not report");
                    reports.fail(&pod)
                }
            };
            // Only functions of the namespace, whatever the pod says.
            let names = changed.iter();
            let names = names.filter_map(|uid| ports.name(&pod.namespace, uid));
            let names: Vec<String> = names.collect();
            self.touched.functions(&pod.namespace, names).await;
            let wait = pause(failures).max(pace.wait(Instant::now()));
            tokio::select! {
                () = sleep(wait) => {}
                () = ready.notified() => failures = 0,
            }
        }
    }
}

fn pause(failures: u32) -> Duration {
    (PAUSE * (1 << failures.min(8))).min(LONGEST_BACKOFF)
}

/// Bounds the number of polls of one pod: some at once, and one in each [`INTERVAL`] after these.
struct Pace {
    left: u32,
    counted: Instant,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            counted: now,
        }
    }

    /// Counts a poll. Returns the wait before the next one.
    fn wait(&mut self, now: Instant) -> Duration {
        while self.left < BURST && now.saturating_duration_since(self.counted) >= INTERVAL {
            self.left += 1;
            self.counted += INTERVAL;
        }
        if self.left == BURST {
            self.counted = now;
        }
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return Duration::ZERO;
        }
        // The next poll takes the one that is due then.
        self.counted += INTERVAL;
        self.counted.saturating_duration_since(now)
    }
}

/// The time in which an answer has to begin. Only a poll with a cursor waits for a change.
fn head_limit(cursor: Option<&Cursor>) -> Duration {
    let wait = cursor.map_or(Duration::ZERO, |_| LONGEST_WAIT);
    wait.saturating_add(HEAD_TIMEOUT)
}

/// Fetches one report of at most this many bytes.
async fn fetch(
    address: SocketAddr,
    cursor: Option<&Cursor>,
    most: usize,
    bodies: &Semaphore,
) -> Result<PoolReport, PollError> {
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| PollError::ConnectTimeout)?
        .map_err(PollError::Connect)?;
    let path = match cursor {
        None => "/functions".to_owned(),
        Some(Cursor { boot, revision }) => format!("/functions?boot={boot}&after={revision}"),
    };
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(PollError::Request)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(PollError::Http)?;
    let mut answer = std::pin::pin!(exchange(sender, request, head_limit(cursor), most, bodies));
    // The connection makes progress here, so that it ends with the poll.
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => {
            ended.map_err(PollError::Http)?;
            answer.await
        }
    }
}

async fn exchange(
    mut sender: http1::SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
    limit: Duration,
    most: usize,
    bodies: &Semaphore,
) -> Result<PoolReport, PollError> {
    let response = timeout(limit, sender.send_request(request))
        .await
        .map_err(|_| PollError::HeadTimeout(limit))?
        .map_err(PollError::Http)?;
    if response.status() != StatusCode::OK {
        return Err(PollError::Status(response.status()));
    }
    let share = u32::try_from(most.div_ceil(1 << 10)).unwrap_or(BODY_BUDGET);
    // The semaphore is never closed.
    let _share = bodies.acquire_many(share.min(BODY_BUDGET)).await;
    let most = most.min((BODY_BUDGET as usize) << 10);
    let body = timeout(
        BODY_TIMEOUT,
        Limited::new(response.into_body(), most).collect(),
    )
    .await
    .map_err(|_| PollError::BodyTimeout)?;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            PollError::TooLong(most)
        } else {
            PollError::Body(error)
        }
    })?;
    serde_json::from_slice(&body.to_bytes()).map_err(PollError::Malformed)
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
    use tokio::sync::Semaphore;
    use tokio::time::Instant;

    use super::{
        BODY_BUDGET, BURST, HEAD_TIMEOUT, INTERVAL, LONGEST_BACKOFF, LONGEST_WAIT, PAUSE, Pace,
        PollError, fetch, head_limit, pause,
    };
    use crate::pool_reports::Cursor;

    /// Serves one answer, and returns the poll's result with the path that it asked for.
    async fn poll(
        status: u16,
        body: &str,
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
                    let mut response = Response::new(Full::new(Bytes::from(body.to_owned())));
                    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
                    Ok::<_, std::convert::Infallible>(response)
                }
            });
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
        };
        let bodies = Semaphore::new(BODY_BUDGET as usize);
        let (result, served) = tokio::join!(fetch(address, cursor, 1_000, &bodies), served);
        assert_eq!(bodies.available_permits(), BODY_BUDGET as usize);
        // An answer that is too long is cut.
        let cut = matches!(result, Err(PollError::TooLong(_)));
        assert!(cut || served.is_ok(), "{served:?}");
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
        let (result, _) = poll(200, &"x".repeat(1_001), None).await;
        assert!(matches!(result, Err(PollError::TooLong(_))), "{result:?}");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        drop(listener);
        let bodies = Semaphore::new(1);
        let result = fetch(address, None, 1_000, &bodies).await;
        assert!(matches!(result, Err(PollError::Connect(_))), "{result:?}");
    }

    #[test]
    fn a_silent_pod_is_asked_less_often() {
        assert_eq!(pause(0), PAUSE);
        assert_eq!(pause(1), Duration::from_millis(200));
        assert_eq!(pause(8), LONGEST_BACKOFF);
        assert_eq!(pause(u32::MAX), LONGEST_BACKOFF);
    }

    #[test]
    fn an_answer_that_needs_no_change_comes_soon() {
        assert_eq!(head_limit(None), HEAD_TIMEOUT);
        let cursor = Cursor {
            boot: String::new(),
            revision: 1,
        };
        assert_eq!(head_limit(Some(&cursor)), LONGEST_WAIT + HEAD_TIMEOUT);
    }

    #[test]
    fn a_pod_that_changes_all_the_time_is_asked_once_in_a_while() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..BURST {
            assert_eq!(pace.wait(now), Duration::ZERO);
        }
        for _ in 0..BURST {
            assert_eq!(pace.wait(now), INTERVAL);
            now += INTERVAL;
        }
        // After a long poll, changes show at once again.
        now += INTERVAL * 20;
        for _ in 0..BURST {
            assert_eq!(pace.wait(now), Duration::ZERO);
        }
        assert_eq!(pace.wait(now), INTERVAL);
    }
}
