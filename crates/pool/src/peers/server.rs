//! Gives compiled modules to other pods of the pool, after a proof of the pool's key.
//!
//! A connection has one request. One without a proof costs a hash. Connections and the files in memory are limited in
//! number, and a request waits for a module for [`HOLD`] at most.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sampan_engine::{Engine, LoadError, ModuleName};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::in_flight::{InFlight, Wait};
use super::proof::{ModuleRequest, Nonce, Proof, Prover};
use super::rank::Rank;
use super::{FROM, NONCE, PROOF, SCHEME, module_of};

/// How long a request waits for a module that this pod is getting. Then the answer is 202, and the other pod may ask
/// again. So a pod that does not answer at all is soon found out.
pub(super) const HOLD: Duration = Duration::from_secs(2);

/// The most connections. Further ones are closed, so that the other pod does not wait.
const MAX_CONNECTIONS: usize = 256;

/// The most files in memory.
const MAX_FILES: usize = 4;

/// Time limit for a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(2);

/// Time limit of a connection beside its wait.
const CONNECTION_TIME: Duration = Duration::from_mins(1);

/// The pause after a failed `accept`: the usual cause, too many open files, lasts for a while.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the server uses.
pub(super) struct ModuleServer {
    pub(super) engine: Engine,
    pub(super) prover: Prover,
    pub(super) in_flight: InFlight,
    /// The address of this pod, which requests prove.
    pub(super) own: SocketAddr,
}

/// A file that is sent, with its permit of [`MAX_FILES`].
struct SentFile {
    bytes: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for SentFile {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Serves until the task is aborted, which ends its connections.
pub(super) async fn serve(listener: TcpListener, server: ModuleServer) {
    let server = Arc::new(server);
    let files = Arc::new(Semaphore::new(MAX_FILES));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // A connection neither panics nor returns anything.
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                let (server, files) = (Arc::clone(&server), Arc::clone(&files));
                connections.spawn(connection(stream, server, files));
            }
            Ok((stream, peer)) => {
                tracing::debug!(%peer, "too many connections of other pods");
                drop(stream);
            }
            Err(error) => {
                tracing::warn!(%error, "no connection of another pod can be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, server: Arc<ModuleServer>, files: Arc<Semaphore>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (server, files) = (Arc::clone(&server), Arc::clone(&files));
        async move { Ok::<_, Infallible>(server.answer(&request, files).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(HOLD + CONNECTION_TIME, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection of another pod failed"),
        Err(_) => tracing::debug!("a connection of another pod was cut"),
    }
}

impl ModuleServer {
    async fn answer<B>(
        &self,
        request: &Request<B>,
        files: Arc<Semaphore>,
    ) -> Response<Full<Bytes>> {
        let (asked, proof) = match parse(request) {
            Ok(parsed) => parsed,
            Err(status) => return empty(status),
        };
        if proof != self.prover.of_request(&asked, self.own) {
            return empty(StatusCode::UNAUTHORIZED);
        }
        let outranks = Rank::new(&asked.name, self.own) > Rank::new(&asked.name, asked.from);
        let waited = self.in_flight.wait(&asked.name, outranks);
        match timeout(HOLD, waited).await {
            Ok(Wait::Over) => {}
            Ok(Wait::Refused) => return empty(StatusCode::NOT_FOUND),
            Err(_) => return empty(StatusCode::ACCEPTED),
        }
        // The semaphore is never closed.
        let Ok(permit) = files.acquire_owned().await else {
            return empty(StatusCode::SERVICE_UNAVAILABLE);
        };
        match self.read(asked.name.clone()).await {
            Ok(Some(bytes)) => self.file(
                &asked,
                SentFile {
                    bytes,
                    _permit: permit,
                },
            ),
            Ok(None) => empty(StatusCode::NOT_FOUND),
            Err(error) => {
                tracing::error!(module = %asked.name, %error, "a module cannot be given to another pod");
                empty(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    async fn read(&self, name: ModuleName) -> Result<Option<Vec<u8>>, LoadError> {
        let engine = self.engine.clone();
        spawn_blocking(move || engine.compiled_file(&name))
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    fn file(&self, asked: &ModuleRequest, file: SentFile) -> Response<Full<Bytes>> {
        let proof = self.prover.of_answer(asked, file.bytes.len() as u64);
        let proof = HeaderValue::try_from(proof.to_text()).expect("hexadecimal digits are a value");
        let mut answer = Response::new(Full::new(Bytes::from_owner(file)));
        answer.headers_mut().insert(PROOF, proof);
        answer
    }
}

/// The request and its proof, or the status of a malformed one.
fn parse<B>(request: &Request<B>) -> Result<(ModuleRequest, Proof), StatusCode> {
    if request.method() != Method::GET {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let name = module_of(request.uri().path()).ok_or(StatusCode::NOT_FOUND)?;
    let text = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let proof = text(AUTHORIZATION.as_str())
        .and_then(|text| text.strip_prefix(SCHEME)?.strip_prefix(' '))
        .and_then(|text| Proof::parse(text).ok());
    let proof = proof.ok_or(StatusCode::UNAUTHORIZED)?;
    let from = text(FROM).and_then(|text| text.parse().ok());
    let nonce = text(NONCE).and_then(|text| Nonce::parse(text).ok());
    match (from, nonce) {
        (Some(from), Some(nonce)) => Ok((ModuleRequest { name, from, nonce }, proof)),
        _ => Err(StatusCode::BAD_REQUEST),
    }
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}
