//! Asks other pods for a module.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use sampan_engine::ModuleName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::proof::{ModuleRequest, Nonce, Proof, Prover};
use super::server::HOLD;
use super::{FROM, NONCE, PROOF, SCHEME, path};

/// Time limit of a connection. The pods of a cluster are milliseconds apart.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Time limit of the head of an answer.
const HEAD_TIMEOUT: Duration = HOLD.saturating_add(Duration::from_secs(1));

/// The largest file of a compiled module.
const MAX_FILE: u64 = 1 << 30;

/// The most files that are received at once. Each is in memory as a whole.
const MAX_FILES: usize = 2;

/// Reasons why a pod gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("it cannot be connected to")]
    Connect(#[source] io::Error),
    #[error("it has not answered in time")]
    Slow,
    #[error("the exchange failed")]
    Http(#[from] hyper::Error),
    #[error("its answer is not as long as it said")]
    Length,
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

impl FetchError {
    /// The cause, if there is one.
    pub(super) fn cause(&self) -> Option<String> {
        self.source().map(ToString::to_string)
    }
}

/// The answer of a pod.
pub(super) enum Answer {
    /// The file of the module.
    File(Vec<u8>),
    /// It gets the module at the moment.
    Pending,
    /// It does not have the module.
    Missing,
}

/// Asks pods.
pub(super) struct ModuleClient {
    prover: Prover,
    own: SocketAddr,
    receiving: Semaphore,
}

impl ModuleClient {
    pub(super) fn new(prover: Prover, own: SocketAddr) -> Self {
        Self {
            prover,
            own,
            receiving: Semaphore::new(MAX_FILES),
        }
    }

    /// Asks one pod.
    pub(super) async fn ask(
        &self,
        name: &ModuleName,
        pod: SocketAddr,
    ) -> Result<Answer, FetchError> {
        let asked = ModuleRequest {
            name: name.clone(),
            from: self.own,
            nonce: Nonce::random()?,
        };
        let proof = self.prover.of_request(&asked, pod);
        let request = Request::get(path(name))
            .header(HOST, pod.to_string())
            .header(FROM, asked.from.to_string())
            .header(NONCE, asked.nonce.to_text())
            .header(AUTHORIZATION, format!("{SCHEME} {}", proof.to_text()))
            .body(Empty::<Bytes>::new())?;
        let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(pod)).await;
        let stream = connected
            .map_err(|_| FetchError::Slow)?
            .map_err(FetchError::Connect)?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let mut exchange = Box::pin(async {
            let answered = timeout(HEAD_TIMEOUT, sender.send_request(request)).await;
            self.receive(&asked, answered.map_err(|_| FetchError::Slow)??)
                .await
        });
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            // It has ended, and what was received is still read. Its error is that of the exchange as well.
            _ = connection => exchange.await,
        }
    }

    async fn receive(
        &self,
        asked: &ModuleRequest,
        answer: Response<Incoming>,
    ) -> Result<Answer, FetchError> {
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::ACCEPTED => return Ok(Answer::Pending),
            StatusCode::NOT_FOUND => return Ok(Answer::Missing),
            status => return Err(FetchError::Status(status)),
        }
        let length = length(answer.headers()).ok_or(FetchError::Unproven)?;
        let proof = text(answer.headers(), PROOF).and_then(|text| Proof::parse(text).ok());
        if proof != Some(self.prover.of_answer(asked, length)) {
            return Err(FetchError::Unproven);
        }
        let most = usize::try_from(length).ok().filter(|_| length <= MAX_FILE);
        let most = most.ok_or(FetchError::Large(length))?;
        // The semaphore is never closed.
        let _permit = self.receiving.acquire().await.ok();
        let mut file = Vec::with_capacity(most);
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                file.extend_from_slice(&data);
            }
        }
        if file.len() == most {
            Ok(Answer::File(file))
        } else {
            Err(FetchError::Length)
        }
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
