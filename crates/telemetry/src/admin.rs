//! Admin server: `/metrics`, `/healthz` and `/readyz` on a separate port, and a program's own
//! [`Document`].
//!
//! Each connection serves one small request, so that a client can block little. Connections are
//! limited in number, and each has [`CONNECTION_TIME`] from its first byte to its last; one that may
//! wait for a change of the document has that time in addition. Metrics and documents may be large:
//! they are written on threads for blocking work, few of them are in memory at once, and some
//! connections are left for probes.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::document::{Document, NoDocument};
use crate::health::Health;
use crate::metrics::{MEDIA_TYPE, Registry};

/// Time limit of a connection, from its beginning to the end of its only response.
pub const CONNECTION_TIME: Duration = Duration::from_secs(10);

/// The most open connections; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: u32 = 64;

/// The most connections for metrics and documents; the rest is for probes.
const MAX_LARGE: usize = 48;

/// The most bodies of metrics, and of documents, that are written or being sent.
const MAX_METRICS: usize = 2;
const MAX_DOCUMENTS: usize = 8;

/// Time limit for a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause after a failed `accept`: the usual cause, too many open files, lasts for a while.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The most connections that wait for a change of the document; further ones get it at once.
const MAX_WAITING: usize = 16;

struct Admin<D> {
    registry: Registry,
    health: Health,
    document: D,
    waiting: Semaphore,
    large: Semaphore,
    metrics: Arc<Semaphore>,
    documents: Arc<Semaphore>,
    /// Becomes true when the server stops, which ends all waits.
    stopping: watch::Sender<bool>,
}

/// Serves until `shutdown` is ready, then finishes the requests in progress.
pub async fn serve(
    listener: TcpListener,
    registry: Registry,
    health: Health,
    shutdown: impl Future<Output = ()>,
) {
    serve_with(listener, registry, health, NoDocument, shutdown).await;
}

/// Serves a document as well; see [`serve`].
pub async fn serve_with<D: Document>(
    listener: TcpListener,
    registry: Registry,
    health: Health,
    document: D,
    shutdown: impl Future<Output = ()>,
) {
    let admin = Arc::new(Admin {
        registry,
        health,
        document,
        waiting: Semaphore::new(MAX_WAITING),
        large: Semaphore::new(MAX_LARGE),
        metrics: Arc::new(Semaphore::new(MAX_METRICS)),
        documents: Arc::new(Semaphore::new(MAX_DOCUMENTS)),
        stopping: watch::Sender::new(false),
    });
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        match accepted {
            Ok((stream, permit)) => {
                let admin = Arc::clone(&admin);
                tokio::spawn(async move {
                    connection(stream, admin).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the admin server cannot accept a connection");
                tokio::select! {
                    () = &mut shutdown => break,
                    () = sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
    drop(listener);
    admin.stopping.send_replace(true);
    // Every connection ends within CONNECTION_TIME and the wait that has just ended.
    let _all = permits.acquire_many(MAX_CONNECTIONS).await;
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

async fn connection<D: Document>(stream: TcpStream, admin: Arc<Admin<D>>) {
    let waits = Arc::new(AtomicBool::new(false));
    let has_waited = Arc::clone(&waits);
    let service = service_fn(move |request: Request<Incoming>| {
        let (admin, waits) = (Arc::clone(&admin), Arc::clone(&waits));
        async move { Ok::<_, Infallible>(admin.answer(&request, &waits).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    let mut served = timeout(CONNECTION_TIME, &mut serving).await;
    if served.is_err() && has_waited.load(Ordering::Relaxed) {
        served = timeout(D::LONGEST_WAIT, &mut serving).await;
    }
    match served {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to the admin server failed"),
        Err(_elapsed) => tracing::debug!("a connection to the admin server took too long"),
    }
}

impl<D: Document> Admin<D> {
    async fn answer(
        self: &Arc<Self>,
        request: &Request<Incoming>,
        waits: &AtomicBool,
    ) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let is_document = Some(path) == D::PATH;
        let mut response = match path {
            _ if !matches!(*request.method(), Method::GET | Method::HEAD) => {
                let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
                let allowed = HeaderValue::from_static("GET, HEAD");
                response.headers_mut().insert(ALLOW, allowed);
                response
            }
            path if is_document || path == "/metrics" => match self.large.try_acquire() {
                Ok(_permit) if is_document => self.document(request, waits).await,
                Ok(_permit) => self.metrics().await,
                Err(_) => text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too many requests at once\n",
                ),
            },
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" => match self.health.reason() {
                None => text(StatusCode::OK, "ready\n"),
                Some(reason) => text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("not ready: {reason}\n"),
                ),
            },
            _ => text(
                StatusCode::NOT_FOUND,
                match D::PATH {
                    Some(path) => format!("there are /metrics, /healthz, /readyz and {path}\n"),
                    None => "there are /metrics, /healthz and /readyz\n".to_owned(),
                },
            ),
        };
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    async fn document(
        self: &Arc<Self>,
        request: &Request<Incoming>,
        waits: &AtomicBool,
    ) -> Response<Full<Bytes>> {
        let query = match self
            .document
            .parse(request.uri().query().unwrap_or_default())
        {
            Ok(query) => query,
            Err(message) => return text(StatusCode::BAD_REQUEST, format!("{message}\n")),
        };
        if *request.method() == Method::GET
            && let Ok(_permit) = self.waiting.try_acquire()
        {
            waits.store(true, Ordering::Relaxed);
            let mut stopping = self.stopping.subscribe();
            tokio::select! {
                () = self.document.changed(&query) => {}
                // The sender is a part of this value.
                _ = stopping.wait_for(|stopping| *stopping) => {}
                () = sleep(D::LONGEST_WAIT) => {}
            }
        }
        let admin = Arc::clone(self);
        let written = written(&self.documents, move || {
            let document = admin.document.read(&query);
            document.map_err(|error| error.to_string())
        });
        match written.await {
            Ok(document) => answer(StatusCode::OK, "application/json", document),
            Err(error) => {
                tracing::error!(error, "the document of the admin server cannot be written");
                text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the document cannot be written\n",
                )
            }
        }
    }

    async fn metrics(&self) -> Response<Full<Bytes>> {
        let registry = self.registry.clone();
        let written = written(&self.metrics, move || {
            registry.encode().map_err(|error| error.to_string())
        });
        match written.await {
            Ok(metrics) => answer(StatusCode::OK, MEDIA_TYPE, metrics),
            Err(error) => {
                tracing::error!(error, "the metrics cannot be written");
                text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the metrics cannot be written\n",
                )
            }
        }
    }
}

/// A body with its turn, which the next one gets when this one was sent.
struct Written {
    text: String,
    _turn: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Written {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// Writes a body when it is its turn, on a thread for blocking work.
async fn written(
    turns: &Arc<Semaphore>,
    write: impl FnOnce() -> Result<String, String> + Send + 'static,
) -> Result<Bytes, String> {
    let turn = Arc::clone(turns).acquire_owned().await;
    let turn = turn.map_err(|error| error.to_string())?;
    let text = spawn_blocking(write).await;
    let text = text.map_err(|error| error.to_string())??;
    Ok(Bytes::from_owner(Written { text, _turn: turn }))
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    answer(status, "text/plain; charset=utf-8", body)
}

fn answer(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
