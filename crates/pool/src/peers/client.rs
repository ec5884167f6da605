//! Asks other pods for a module.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::proof::{ModuleRequest, Nonce, Proof, Prover};
use super::server::HOLD;
use super::{FROM, NONCE, PROOF, SCHEME, path};

/// Time limit of a connection. The pods of a cluster are milliseconds apart.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Time limit of the head of an answer: the other pod may compile the module meanwhile.
const HEAD_TIMEOUT: Duration = HOLD.saturating_add(Duration::from_secs(5));

/// Time limit of the rest of an answer.
const BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// The largest file of a compiled module.
const MAX_FILE: u64 = 1 << 30;

/// Reasons why a pod gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("it cannot be connected to")]
    Connect(#[source] io::Error),
    #[error("it has not answered in time")]
    Slow,
    #[error("the exchange failed")]
    Http(#[from] hyper::Error),
    #[error("its answer ended early, or was longer than it said")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("its answer has no proof that it comes from this pool")]
    Unproven,
    #[error("its file of {0} bytes is too large")]
    Large(u64),
    #[error("the request cannot be made")]
    Request(#[from] http::Error),
    #[error("the system has no random numbers")]
    Random(#[from] getrandom::Error),
}

/// Asks one pod; `None` when it neither has the module nor is about to have it.
pub(super) async fn fetch(
    prover: &Prover,
    request: &ModuleRequest,
    to: SocketAddr,
) -> Result<Option<Bytes>, FetchError> {
    let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(to)).await;
    let stream = connected
        .map_err(|_| FetchError::Slow)?
        .map_err(FetchError::Connect)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let head = Request::get(path(&request.name))
        .header(HOST, to.to_string())
        .header(FROM, request.from.to_string())
        .header(NONCE, request.nonce.to_text())
        .header(
            AUTHORIZATION,
            format!("{SCHEME} {}", prover.of_request(request, to).to_text()),
        )
        .body(Empty::<Bytes>::new())?;
    let exchange = async {
        let answered = timeout(HEAD_TIMEOUT, sender.send_request(head)).await;
        let answer = answered.map_err(|_| FetchError::Slow)??;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(FetchError::Status(status)),
        }
        let length = length(answer.headers()).ok_or(FetchError::Unproven)?;
        let proof = text(answer.headers(), PROOF).and_then(|text| Proof::parse(text).ok());
        if proof != Some(prover.of_answer(request, length)) {
            return Err(FetchError::Unproven);
        }
        let most = usize::try_from(length).ok().filter(|_| length <= MAX_FILE);
        let most = most.ok_or(FetchError::Large(length))?;
        let collected = timeout(
            BODY_TIMEOUT,
            Limited::new(answer.into_body(), most).collect(),
        );
        let body = collected.await.map_err(|_| FetchError::Slow)?;
        Ok(Some(body.map_err(FetchError::Body)?.to_bytes()))
    };
    let mut exchange = Box::pin(exchange);
    tokio::select! {
        biased;
        fetched = &mut exchange => fetched,
        // It has ended, and what was received is still read. Its error is that of the exchange as well.
        _ = connection => exchange.await,
    }
}

/// The request for a module, with a new nonce.
pub(super) fn request(
    name: &sampan_engine::ModuleName,
    from: SocketAddr,
) -> Result<ModuleRequest, FetchError> {
    Ok(ModuleRequest {
        name: name.clone(),
        from,
        nonce: Nonce::random()?,
    })
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
