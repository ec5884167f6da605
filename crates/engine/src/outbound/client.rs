//! HTTP/1.1 client of one function: sends a request on a pooled or a new connection.
//!
//! A server may close a connection while a request is on its way to it. A request that went out on
//! a pooled connection and got no byte back is therefore sent once more, on a new connection, if
//! its method is idempotent (RFC 9110, section 9.2.2) and little of its body was read. A request
//! that never left is sent again with any method.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use wasmtime_wasi_http::Error;

use super::connect::{Stream, connect};
use super::connect_error::{ConnectError, tls_code};
use super::pool::{Connection, Pool};
use super::resolve::Lookups;
use super::sent_body::{Claim, SentBody};
use super::upstream::Upstream;

/// The most fields in the head of a response.
const MAX_RESPONSE_FIELDS: usize = 2_000;

/// The size of a connection's buffers. A response's head that does not fit fails. hyper looks at the
/// size between reads, so a head may exceed it by the last of them.
const MAX_BUFFER: usize = 64 << 10;

/// Sends requests with pooled connections.
pub(crate) struct Client {
    lookups: Lookups,
    tls: TlsConnector,
    pool: Arc<Pool>,
}

/// The time limits of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// The limit on making a connection, TLS included.
    pub(crate) connect: Duration,
    /// The end of that limit for the first connection.
    pub(crate) connect_by: Instant,
    /// The limit on the head of the response, from the time at which there is a connection.
    pub(crate) first_byte: Duration,
}

/// Reasons why a request got no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("no response: {}", chain(.0))]
    Exchange(hyper::Error),
    #[error("no response within {0:?}")]
    FirstByte(Duration),
}

impl SendError {
    /// The error code of wasi:http.
    pub(super) fn code(&self) -> Error {
        match self {
            Self::Connect(error) => error.code(),
            Self::Exchange(error) => exchange_code(error),
            Self::FirstByte(_) => Error::ConnectionReadTimeout,
        }
    }
}

/// The error code of wasi:http for a failure on a connection.
pub(super) fn exchange_code(error: &hyper::Error) -> Error {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(own) = cause.downcast_ref::<Error>() {
            return body_code(own);
        }
        if let Some(code) = cause.downcast_ref::<io::Error>().and_then(tls_code) {
            return code;
        }
        source = cause.source();
    }
    if error.is_incomplete_message() {
        Error::HttpResponseIncomplete
    } else if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(None)
    } else if error.is_parse() {
        Error::HttpProtocolError
    } else {
        Error::ConnectionTerminated
    }
}

/// Maps a failure of the guest's own request body to that failure.
pub(super) fn body_code(error: &Error) -> Error {
    match error {
        Error::HttpRequestBodySize(size) => Error::HttpRequestBodySize(*size),
        other => Error::InternalError(Some(other.to_string())),
    }
}

/// Joins an error and its causes to one line.
fn chain(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The outcome of a request that got no response on its connection.
enum Unanswered {
    /// Nothing of it has left.
    Unsent(Box<Request<SentBody>>, hyper::Error),
    Failed(SendError),
}

impl Client {
    pub(crate) fn new(tls: Arc<rustls::ClientConfig>) -> Self {
        Self {
            lookups: Lookups::default(),
            tls: TlsConnector::from(tls),
            pool: Arc::default(),
        }
    }

    /// Sends a request and waits for the head of its response. Also returns the end of
    /// [`Times::first_byte`].
    pub(crate) async fn send(
        &self,
        upstream: &Upstream,
        mut request: Request<SentBody>,
        times: Times,
    ) -> Result<(Response<Incoming>, Instant), SendError> {
        *request.uri_mut() = target(request.uri());
        let Times {
            connect,
            mut connect_by,
            first_byte,
        } = times;
        let mut left = first_byte;
        if let Some(mut pooled) = self.pool.take(&upstream.origin) {
            let repeat = Repeat::of(&request);
            let first_by = Instant::now() + first_byte;
            request = match exchange(&mut pooled, request, first_by, first_byte).await {
                Ok(response) => return Ok((self.keep(upstream, pooled, response), first_by)),
                Err(Unanswered::Unsent(unsent, _)) => *unsent,
                Err(Unanswered::Failed(error)) => {
                    let unheard = matches!(error, SendError::Exchange(_)) && !pooled.has_answered();
                    match repeat.filter(|_| unheard).and_then(Repeat::request) {
                        Some(again) => again,
                        None => return Err(error),
                    }
                }
            };
            let now = Instant::now();
            left = first_by.saturating_duration_since(now);
            connect_by = now + connect;
        }
        let mut connection = self.connect(upstream, connect_by).await?;
        let first_by = Instant::now() + left;
        match exchange(&mut connection, request, first_by, first_byte).await {
            Ok(response) => Ok((self.keep(upstream, connection, response), first_by)),
            Err(Unanswered::Unsent(_, error)) => Err(SendError::Exchange(error)),
            Err(Unanswered::Failed(error)) => Err(error),
        }
    }

    fn keep(
        &self,
        upstream: &Upstream,
        connection: Connection,
        response: Response<Incoming>,
    ) -> Response<Incoming> {
        let origin = upstream.origin.clone();
        self.pool.keep(origin, connection, response.headers());
        response
    }

    async fn connect(&self, upstream: &Upstream, by: Instant) -> Result<Connection, SendError> {
        let started = match connect(upstream, &self.lookups, &self.tls, by).await? {
            Stream::Plain(stream) => start(stream).await,
            Stream::Tls(stream) => start(stream).await,
        };
        started.map_err(SendError::Exchange)
    }
}

/// The request's target on a connection to its origin (RFC 9112, section 3.2.1).
fn target(uri: &Uri) -> Uri {
    match uri.path_and_query() {
        Some(path) => Uri::from(path.clone()),
        None => Uri::from_static("/"),
    }
}

/// What is needed to send an idempotent request again.
struct Repeat {
    head: Request<()>,
    body: Claim,
}

impl Repeat {
    fn of(request: &Request<SentBody>) -> Option<Self> {
        request.method().is_idempotent().then(|| {
            let mut head = Request::new(());
            head.method_mut().clone_from(request.method());
            head.uri_mut().clone_from(request.uri());
            head.headers_mut().clone_from(request.headers());
            let body = request.body().claim();
            Self { head, body }
        })
    }

    /// The request; `None` when more of its body was read than is kept.
    fn request(self) -> Option<Request<SentBody>> {
        let body = self.body.take_back()?;
        Some(self.head.map(|()| body))
    }
}

/// Sends a request and waits for the head of its response until `by`, the end of `limit`.
async fn exchange(
    connection: &mut Connection,
    request: Request<SentBody>,
    by: Instant,
    limit: Duration,
) -> Result<Response<Incoming>, Unanswered> {
    connection.expect_answer();
    // Dropping the future closes the connection.
    match timeout_at(by, connection.sender.try_send_request(request)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(mut error)) => Err(match error.take_message() {
            Some(unsent) => Unanswered::Unsent(Box::new(unsent), error.into_error()),
            None => Unanswered::Failed(SendError::Exchange(error.into_error())),
        }),
        Err(_) => Err(Unanswered::Failed(SendError::FirstByte(limit))),
    }
}

/// Starts HTTP/1.1 on a new stream. A task of its own drives the connection until it ends.
async fn start<S>(stream: S) -> hyper::Result<Connection>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let received = Arc::new(AtomicBool::new(false));
    let stream = Watched {
        stream,
        received: Arc::clone(&received),
    };
    let (sender, connection) = http1::Builder::new()
        .max_headers(MAX_RESPONSE_FIELDS)
        .max_buf_size(MAX_BUFFER)
        .handshake(TokioIo::new(stream))
        .await?;
    tokio::spawn(async move {
        // A request that waits for its response gets the error as well.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an outbound connection broke off");
        }
    });
    Ok(Connection::new(sender, received))
}

/// A stream that records whether bytes arrive.
struct Watched<S> {
    stream: S,
    received: Arc<AtomicBool>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.received.store(true, Ordering::Release);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
