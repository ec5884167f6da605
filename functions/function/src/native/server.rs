//! The server of a native program: accepts connections, answers requests in the task of their
//! connection, and drains on SIGTERM.
//!
//! It sets no deadlines, which are the task of the proxy in front of it.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method as HttpMethod, Request as HttpRequest, Response as HttpResponse, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::options::Options;
use super::outbound::Outbound;
use crate::function::respond;
use crate::{Function, Method, Request, Response};

/// How long requests that have begun may take after SIGTERM.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The delay before accepting again when the operating system has no descriptor left.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(10);

/// The path of the watchdog's health check, which is not the function's.
const HEALTH_PATH: &str = "/_/health";

/// Why the program ends.
#[derive(Debug, Error)]
pub(super) enum ServerError {
    #[error("can't start the runtime: {0}")]
    Runtime(std::io::Error),
    #[error("can't listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("can't wait for signals: {0}")]
    Signal(std::io::Error),
    #[error("can't write the lock file {}: {source}", path.display())]
    LockFile {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// Serves until SIGTERM or SIGINT. `ready` gets the address once connections are accepted.
pub(super) fn run(
    options: &Options,
    function: &'static impl Function,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServerError> {
    // The runtime outlives the server, because dropping it would end the work that is drained.
    let runtime = Runtime::new().map_err(ServerError::Runtime)?;
    runtime.block_on(serve(options, function, ready))
}

async fn serve(
    options: &Options,
    function: &'static impl Function,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServerError> {
    let address = options.listen;
    let listen = |source| ServerError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServerError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServerError::Signal)?;
    ready(listener.local_addr().map_err(listen)?);
    let lock_file = LockFile::create(options.lock_file.clone())?;

    let graceful = GracefulShutdown::new();
    tokio::select! {
        () = accept(listener, function, &graceful) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    drop(lock_file);
    // Requests that do not end in time are cut off.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await;
    Ok(())
}

/// Accepts connections for ever.
async fn accept(
    listener: TcpListener,
    function: &'static impl Function,
    graceful: &GracefulShutdown,
) {
    // One for the life of the process: a reference costs a request less than a reference count.
    let outbound: &'static Outbound = Box::leak(Box::new(Outbound::new()));
    let builder = auto::Builder::new(TokioExecutor::new());
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Either this connection has gone already, or no descriptor is free until another
            // connection ends.
            tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            continue;
        };
        // A connection without the option is served anyway.
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request| async move {
            Ok::<_, Infallible>(answer(function, outbound, &request).await)
        });
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        // An error here is the client's: it has gone, or it does not speak HTTP.
        tokio::spawn(graceful.watch(connection));
    }
}

async fn answer(
    function: &impl Function,
    outbound: &Outbound,
    request: &HttpRequest<Incoming>,
) -> HttpResponse<Full<Bytes>> {
    if request.uri().path() == HEALTH_PATH {
        return into_http(Response::text("healthy\n"));
    }
    let method = match *request.method() {
        HttpMethod::GET => Some(Method::Get),
        HttpMethod::HEAD => Some(Method::Head),
        _ => None,
    };
    let target = Request::with_query(request.uri().query().unwrap_or_default());
    into_http(respond(function, method, &target, outbound).await)
}

/// hyper's server adds the length, and leaves the body out of an answer to HEAD.
fn into_http(response: Response) -> HttpResponse<Full<Bytes>> {
    let mut http = HttpResponse::new(Full::new(Bytes::from(response.body)));
    *http.status_mut() =
        StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = http.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(response.content_type),
    );
    if let Some(allow) = response.allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    http
}

/// A file that exists while the program accepts connections.
struct LockFile(Option<PathBuf>);

impl LockFile {
    fn create(path: Option<PathBuf>) -> Result<Self, ServerError> {
        if let Some(path) = &path {
            fs::write(path, "").map_err(|source| ServerError::LockFile {
                path: path.clone(),
                source,
            })?;
        }
        Ok(LockFile(path))
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // It may be gone already.
            let _ = fs::remove_file(path);
        }
    }
}
