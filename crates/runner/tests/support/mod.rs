//! A server with a stub handler, and clients that write raw bytes.

#![expect(dead_code, reason = "each test file uses its part")]

pub(crate) mod frames;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use sampan_engine::RequestBodyError;
use sampan_runner::{Handler, Malformed, RequestBody, Server, ServerConfig, Summary};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than any operation under test takes.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The timeout in tests of "closed within ten seconds".
pub(crate) const CLIENT_TIMEOUT: Duration = Duration::from_millis(300);

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(crate) struct Fixture {
    pub(crate) address: SocketAddr,
    pub(crate) handler: Arc<Plain>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Summary>,
}

/// Responds by path; see `call`.
#[derive(Default)]
pub(crate) struct Plain {
    /// Method and path of every request.
    pub(crate) seen: Mutex<Vec<String>>,
    /// Requests in progress.
    pub(crate) busy: Arc<AtomicUsize>,
    /// Requests of `/work`, which go on after their responses.
    pub(crate) work: watch::Sender<usize>,
}

struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A server with short timeouts.
pub(crate) async fn start_strict() -> Fixture {
    start(|config| {
        config.header_timeout = CLIENT_TIMEOUT;
        config.body_timeout = CLIENT_TIMEOUT;
        config.write_timeout = CLIENT_TIMEOUT;
    })
    .await
}

pub(crate) async fn start(adjust: impl FnOnce(&mut ServerConfig)) -> Fixture {
    let mut config = ServerConfig::new(vec!["127.0.0.1:0".parse().unwrap()]);
    adjust(&mut config);
    let server = Server::bind(config).unwrap();
    let address = server.addresses()[0];
    let handler = Arc::new(Plain::default());
    let (stop, stopped) = oneshot::channel();
    let running = Arc::clone(&handler);
    let serving =
        tokio::spawn(async move { server.run(running, async { drop(stopped.await) }).await });
    Fixture {
        address,
        handler,
        stop,
        serving,
    }
}

impl Fixture {
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `bytes` and reads until the server closes.
    pub(crate) async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // The server may reject the request before it has read everything.
        let _ = stream.write_all(bytes.as_ref()).await;
        read_to_close(&mut stream).await
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.handler.seen.lock().unwrap().clone()
    }

    pub(crate) fn busy(&self) -> usize {
        self.handler.busy.load(Ordering::SeqCst)
    }

    pub(crate) async fn wait_until_busy(&self, expected: usize) {
        let begun = Instant::now();
        while self.busy() != expected {
            assert!(
                begun.elapsed() < TEST_TIMEOUT,
                "{} busy instead of {expected}",
                self.busy()
            );
            tokio::task::yield_now().await;
        }
    }

    /// Stops the server; the caller awaits it.
    pub(crate) fn stop(self) -> JoinHandle<Summary> {
        self.stop.send(()).unwrap();
        self.serving
    }
}

pub(crate) async fn read_to_close(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = timeout(TEST_TIMEOUT, stream.read_to_end(&mut answer)).await;
    // A reset after the response also closes.
    drop(read.expect("the server closes"));
    String::from_utf8_lossy(&answer).into_owned()
}

/// The statuses of all HTTP/1 responses in `text`. Bodies of these tests never look like one.
pub(crate) fn statuses(text: &str) -> Vec<u16> {
    text.split("HTTP/1.")
        .skip(1)
        .map(|answer| answer[2..5].parse().unwrap())
        .collect()
}

impl Handler for Plain {
    type Body = UnsyncBoxBody<Bytes, BoxError>;

    async fn call(&self, mut request: Request<RequestBody>, _: SocketAddr) -> Response<Self::Body> {
        let busy = Busy::new(&self.busy);
        let path = request.uri().path().to_owned();
        self.seen
            .lock()
            .unwrap()
            .push(format!("{} {path}", request.method()));
        let limit = if path == "/limit" { 100 } else { u64::MAX };
        if let Err(error) = request.body_mut().limit(limit) {
            return failed(&error);
        }
        match path.as_str() {
            "/ignore" => text(StatusCode::OK, "ignored"),
            "/never" => std::future::pending().await,
            "/head" => {
                let cookies = request.headers().get_all("cookie");
                let cookies: Vec<_> = cookies.iter().collect();
                text(StatusCode::OK, &format!("{} {cookies:?}\n", request.uri()))
            }
            "/work" => {
                self.work.send_modify(|count| *count += 1);
                text(StatusCode::OK, "working")
            }
            "/empty" => text(StatusCode::NO_CONTENT, "no content"),
            "/unchanged" => text(StatusCode::NOT_MODIFIED, "no content"),
            "/echo" => Response::new(held(request.into_body().map_err(Into::into), busy)),
            "/big" => Response::new(held(big(1024), busy)),
            "/endless" => Response::new(held(big(usize::MAX), busy)),
            "/broken" => {
                let frames = [Ok(Frame::data(Bytes::from("half"))), Err("broken".into())];
                // The second frame leaves in a later packet than the first.
                let frames = stream::iter(frames).then(|frame| async {
                    tokio::task::yield_now().await;
                    frame
                });
                Response::new(StreamBody::new(frames).boxed_unsync())
            }
            "/later" => {
                // Far less than the silence after which a client counts as gone.
                tokio::time::sleep(Duration::from_millis(50)).await;
                text(StatusCode::OK, "later")
            }
            "/broken-at-once" => {
                let frames = stream::iter([Err("broken".into())]);
                Response::new(StreamBody::new(frames).boxed_unsync())
            }
            _ => {
                let method = request.method().clone();
                let fault = request.body().fault();
                // The handler hides the body's failure; `race` detects it.
                let collected = fault.race(async {
                    match request.into_body().collect().await {
                        Ok(body) => {
                            let trailers = body.trailers().map_or(0, http::HeaderMap::len);
                            (body.to_bytes().len(), trailers)
                        }
                        Err(_) => std::future::pending().await,
                    }
                });
                match collected.await {
                    Ok((bytes, trailers)) => text(
                        StatusCode::OK,
                        &format!("{method} {path} {bytes} bytes {trailers} trailers\n"),
                    ),
                    Err(error) => failed(&error),
                }
            }
        }
    }

    fn refuse(
        &self,
        _request: Request<()>,
        malformed: Malformed,
        _peer: SocketAddr,
    ) -> Response<Self::Body> {
        match malformed {
            Malformed::LongTarget => text(StatusCode::URI_TOO_LONG, "target"),
            Malformed::Connect => text(StatusCode::NOT_IMPLEMENTED, "connect"),
            _ => text(StatusCode::BAD_REQUEST, &format!("{malformed:?}")),
        }
    }

    fn header_bytes(&self) -> usize {
        32 * 1024
    }

    async fn work_ended(&self) {
        let mut work = self.work.subscribe();
        let ended = work.wait_for(|count| *count == 0).await;
        drop(ended);
    }

    fn cut_work(&self) -> usize {
        self.work.send_replace(0)
    }
}

/// A body that counts as a request in progress until it is dropped.
fn held<B>(body: B, busy: Busy) -> UnsyncBoxBody<Bytes, BoxError>
where
    B: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
{
    body.map_frame(move |frame| {
        let _held = &busy;
        frame
    })
    .boxed_unsync()
}

/// `frames` frames of 64 KiB.
fn big(frames: usize) -> impl http_body::Body<Data = Bytes, Error = BoxError> {
    let frame = Bytes::from(vec![b'x'; 64 * 1024]);
    let frames =
        stream::iter(0..frames).map(move |_| Ok::<_, Infallible>(Frame::data(frame.clone())));
    StreamBody::new(frames).map_err(|never| match never {})
}

fn failed(error: &RequestBodyError) -> Response<UnsyncBoxBody<Bytes, BoxError>> {
    let status = match error {
        RequestBodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        RequestBodyError::Stalled => StatusCode::REQUEST_TIMEOUT,
        RequestBodyError::Broken(_) => StatusCode::BAD_REQUEST,
    };
    text(status, "body")
}

fn text(status: StatusCode, text: &str) -> Response<UnsyncBoxBody<Bytes, BoxError>> {
    let body = Full::new(Bytes::copy_from_slice(text.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}
