//! One connection from its first byte to its last.
//!
//! HTTP/1 requests are answered within the connection's task, HTTP/2 streams in tasks of their own.
//! hyper's own timers are not used: the watchdog covers what they do, and also what they do not,
//! such as the time before the protocol is known.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer_body::AnswerBody;
use super::check::check;
use super::conduct::{Conduct, End};
use super::config::{MAX_URI_BYTES, ServerConfig};
use super::handler::Handler;
use super::request_body::RequestBody;
use super::socket::{Protocol, Socket};
use super::stream::Streams;
use super::watch::{Order, Watch};
use super::watchdog::Verdict;
use crate::round;

/// Bytes that are read from or written to a connection at once.
const BUFFER: usize = 64 * 1024;

/// What an HTTP/2 client may send of one body before anybody reads it, and of all of them.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Requests that an HTTP/2 client may cancel before they were looked at.
const MOST_UNSEEN_RESETS: usize = 20;

/// How often an HTTP/2 client is asked for a sign of life, and how long it may take.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the answer to a head that hyper never saw may take to leave.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What all requests of a connection share.
struct Link<H> {
    handler: Arc<H>,
    watch: Arc<Watch>,
    peer: SocketAddr,
    body_timeout: Duration,
}

/// Serves a connection.
pub(super) async fn serve<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    handler: Arc<H>,
    config: &ServerConfig,
    watch: &Arc<Watch>,
) {
    let mut socket = Socket::new(stream, Arc::clone(watch));
    let mut conduct = Conduct::new(watch, config);
    let protocol = poll_fn(|context| match conduct.poll(None, context) {
        Poll::Ready(_) => Poll::Ready(Ok(None)),
        Poll::Pending => socket.poll_protocol(context),
    });
    let protocol = match protocol.await {
        Ok(Some(protocol)) => protocol,
        Ok(None) => return,
        Err(error) => return tracing::debug!(%peer, %error, "a connection failed"),
    };
    let header_bytes = handler.header_bytes();
    let body_timeout = config.body_timeout;
    let link = Arc::new(Link {
        handler,
        watch: Arc::clone(watch),
        peer,
        body_timeout,
    });
    let service = service_fn(move |request: Request<Incoming>| {
        let link = Arc::clone(&link);
        async move { Ok::<_, Infallible>(link.answer(request).await) }
    });
    let io = TokioIo::new(socket);
    let end = match protocol {
        Protocol::Http1 => {
            let mut connection = http1_builder(header_bytes).serve_connection(io, service);
            let close = http1::Connection::graceful_shutdown;
            let end = conduct
                .run(protocol, Pin::new(&mut connection), close)
                .await;
            let mut socket = connection.into_parts().io.into_inner();
            if let Some(status) = last_status(&end, &socket, watch) {
                // The client is at fault already; whether it hears why is up to it.
                let _ = timeout(LAST_WORDS, say(&mut socket, status)).await;
            }
            end
        }
        Protocol::Http2 => {
            let streams = Streams {
                write_timeout: config.write_timeout,
            };
            let builder = http2_builder(streams, header_bytes, config.max_streams);
            let connection = pin!(builder.serve_connection(io, service));
            conduct
                .run(protocol, connection, http2::Connection::graceful_shutdown)
                .await
        }
    };
    match end {
        End::Protocol(Ok(())) | End::Ordered => {}
        End::Protocol(Err(error)) => tracing::debug!(%peer, %error, "a connection failed"),
        End::Verdict(verdict) => tracing::debug!(%peer, ?verdict, "a connection was cut"),
    }
}

fn http1_builder(header_bytes: usize) -> http1::Builder {
    let mut builder = http1::Builder::new();
    let head = header_bytes + MAX_URI_BYTES;
    builder
        .header_read_timeout(None)
        .max_header_size(head)
        .max_buf_size(BUFFER.max(head));
    builder
}

fn http2_builder(
    streams: Streams,
    header_bytes: usize,
    max_streams: u32,
) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    let head = u32::try_from(header_bytes + MAX_URI_BYTES).unwrap_or(u32::MAX);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(max_streams)
        .max_pending_accept_reset_streams(MOST_UNSEEN_RESETS)
        .max_header_list_size(head)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

impl<H: Handler> Link<H> {
    async fn answer(&self, request: Request<Incoming>) -> Response<AnswerBody<H::Body>> {
        round::request_begins();
        let busy = self.watch.begin();
        let version = request.version();
        // Where one request of a connection is in doubt, the next ones are as well.
        let mut last = false;
        let mut response = match check(&request) {
            Ok(()) => {
                let body = |incoming| RequestBody::new(incoming, &self.watch, self.body_timeout);
                self.handler.call(request.map(body), self.peer).await
            }
            Err(malformed) => {
                self.watch.leave_unread();
                last = true;
                self.handler.refuse(malformed)
            }
        };
        if (last || self.watch.ordered() != Order::Serve) && version <= Version::HTTP_11 {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(|body| AnswerBody::new(body, busy))
    }
}

/// The status to end an HTTP/1 connection with, when its head never became a request. Nothing may
/// still be on its way to the client: it would take the status for a part of that.
fn last_status(end: &End, socket: &Socket, watch: &Watch) -> Option<StatusCode> {
    let clear = !watch.is_busy() && !watch.is_blocked();
    match end {
        End::Protocol(Err(_)) if clear && socket.line_is_too_long() => {
            Some(StatusCode::URI_TOO_LONG)
        }
        End::Verdict(Verdict::SlowHead) if clear => Some(StatusCode::REQUEST_TIMEOUT),
        _ => None,
    }
}

async fn say(socket: &mut Socket, status: StatusCode) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    socket.shutdown().await
}
