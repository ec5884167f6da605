//! Serves one connection from its first byte to its last.
//!
//! HTTP/1 requests run in the connection's task, HTTP/2 streams in tasks of their own. hyper's
//! timers are not used. The watchdog covers the same cases and more, such as the time before the
//! protocol is known.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::check::check;
use super::config::{FIELD_OVERHEAD, MAX_FIELDS, MAX_URI_BYTES, ServerConfig};
use super::connections::ConnectionSlot;
use super::driver::{ConnectionDriver, ConnectionEnd};
use super::handler::Handler;
use super::normalize::normalize;
use super::outgoing_body::OutgoingBody;
use super::request_body::RequestBody;
use super::scheduler_load;
use super::socket::{Protocol, Socket};
use super::stream::Streams;
use super::watch::{Busy, Order, Watch};
use super::watchdog::CloseReason;

/// The read and write buffer, in bytes.
const BUFFER: usize = 64 * 1024;

/// HTTP/2 flow-control windows: for one body, and for all bodies of a connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of HTTP/2's pseudo-header fields without the path, which has a limit of its own.
const PSEUDO_FIELDS: usize = 1024;

/// The most requests that an HTTP/2 client may cancel before the server accepts them.
const MAX_PENDING_RESETS: usize = 20;

/// The interval of HTTP/2 pings, and their time limit.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit for writing the status of a head that hyper never received in full.
const FINAL_STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// State that all requests of a connection share.
struct ConnectionContext<H> {
    handler: Arc<H>,
    watch: Arc<Watch>,
    peer: SocketAddr,
    /// The server's address of the connection.
    local: SocketAddr,
    body_timeout: Duration,
}

/// An address as its client knows it: a socket for both versions of the protocol has IPv4's in the
/// form of IPv6.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Serves a connection.
pub(super) async fn serve<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    handler: Arc<H>,
    config: &ServerConfig,
    slot: &Arc<ConnectionSlot>,
) {
    let watch = slot.watch();
    let local = match stream.local_addr() {
        Ok(local) => canonical(local),
        Err(error) => return tracing::debug!(%peer, %error, "a connection failed"),
    };
    let mut socket = Socket::new(stream, Arc::clone(watch));
    let mut driver = ConnectionDriver::new(watch, config);
    let protocol = poll_fn(|context| match driver.poll(None, context) {
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
    let context = Arc::new(ConnectionContext {
        handler,
        watch: Arc::clone(watch),
        peer,
        local,
        body_timeout,
    });
    let service = service_fn(move |request: Request<Incoming>| {
        let context = Arc::clone(&context);
        // Not in the future: the socket may reach the end of the input before that is polled.
        let busy = context.watch.begin();
        async move { Ok::<_, Infallible>(context.answer(request, busy).await) }
    });
    let io = TokioIo::new(socket);
    let end = match protocol {
        Protocol::Http1 => {
            let mut connection = http1_builder(header_bytes).serve_connection(io, service);
            let close = http1::Connection::graceful_shutdown;
            let end = driver.run(protocol, Pin::new(&mut connection), close).await;
            let mut socket = connection.into_parts().io.into_inner();
            if let Some(status) = last_status(&end, &socket, watch) {
                // Best effort: the client has already violated a limit.
                let _ = timeout(FINAL_STATUS_TIMEOUT, write_status(&mut socket, status)).await;
            }
            end
        }
        Protocol::Http2 => {
            let streams = Streams {
                write_timeout: config.write_timeout,
                slot: Arc::clone(slot),
            };
            let builder = http2_builder(streams, header_bytes, config.max_streams);
            let connection = pin!(builder.serve_connection(io, service));
            driver
                .run(protocol, connection, http2::Connection::graceful_shutdown)
                .await
        }
    };
    match end {
        ConnectionEnd::Protocol(Ok(())) | ConnectionEnd::Ordered => {}
        ConnectionEnd::Protocol(Err(error)) => {
            tracing::debug!(%peer, %error, "a connection failed");
        }
        ConnectionEnd::Watchdog(reason) => {
            tracing::debug!(%peer, verdict = ?reason, "a connection was cut");
        }
    }
}

fn http1_builder(header_bytes: usize) -> http1::Builder {
    let mut builder = http1::Builder::new();
    let head = header_bytes + MAX_URI_BYTES;
    // hyper reserves room for this many fields while it parses a head.
    let fields = (header_bytes / (1 + FIELD_OVERHEAD)).min(MAX_FIELDS);
    builder
        .header_read_timeout(None)
        .max_headers(fields)
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
    let head = header_bytes + MAX_URI_BYTES + PSEUDO_FIELDS;
    let head = u32::try_from(head).unwrap_or(u32::MAX);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(max_streams)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_header_list_size(head)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

impl<H: Handler> ConnectionContext<H> {
    async fn answer(
        &self,
        mut request: Request<Incoming>,
        busy: Busy,
    ) -> Response<OutgoingBody<H::Body>> {
        scheduler_load::count_request();
        let version = request.version();
        let to_head = request.method() == Method::HEAD;
        // After an ambiguous request, the following ones on the connection are ambiguous as well.
        let mut last = false;
        let checked = check(&request).and_then(|()| normalize(&mut request, self.local));
        let mut response = match checked {
            Ok(()) => {
                let body =
                    |incoming| RequestBody::new(incoming, &self.watch, &busy, self.body_timeout);
                self.handler.call(request.map(body), self.peer).await
            }
            Err(malformed) => {
                self.watch.leave_unread();
                last = true;
                self.handler.refuse(request.map(drop), malformed, self.peer)
            }
        };
        // A client that has closed its sending side sends no other request.
        last |= self.watch.is_half_closed() || self.watch.ordered() != Order::Serve;
        if last && version <= Version::HTTP_11 {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        OutgoingBody::respond(response, to_head, version, busy)
    }
}

/// The status to end an HTTP/1 connection with, if its head never became a request. `None` while
/// other data is on its way to the client, which would read the status as a part of it.
fn last_status(end: &ConnectionEnd, socket: &Socket, watch: &Watch) -> Option<StatusCode> {
    let clear = !watch.is_busy() && !watch.is_blocked();
    match end {
        ConnectionEnd::Protocol(Err(_)) if clear && socket.line_is_too_long() => {
            Some(StatusCode::URI_TOO_LONG)
        }
        ConnectionEnd::Watchdog(CloseReason::SlowHead) if clear => {
            Some(StatusCode::REQUEST_TIMEOUT)
        }
        _ => None,
    }
}

async fn write_status(socket: &mut Socket, status: StatusCode) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    socket.shutdown().await
}
