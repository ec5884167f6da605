//! A fake registry on a loopback port: correct content, or wrong content and faults.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test uses a part of it"
)]

pub(crate) mod documents;

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sampan_artifact::{
    Artifact, Error, Layout, Login, Observer, Options, Part, Pulled, Reference, Registry,
    RetryPolicy, Source,
};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The body of a response.
pub(crate) type Body = BoxBody<Bytes, io::Error>;

/// Makes the response to a request.
pub(crate) type Answer = dyn Fn(&Parts, Bytes) -> Response<Body> + Send + Sync;

/// A received request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Bytes,
}

/// A registry. Dropping it closes it.
pub(crate) struct Fake {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    /// Starts to serve.
    pub(crate) async fn start(
        answer: impl Fn(&Parts, Bytes) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Answer> = Arc::new(answer);
        let log = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (answer, log) = (answer.clone(), log.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let (answer, log) = (answer.clone(), log.clone());
                        async move { Ok::<_, Infallible>(handle(request, &*answer, &log).await) }
                    });
                    // The client disconnected, or a body failed on purpose.
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { port, seen, task }
    }

    /// A registry that has one artifact, as `function:1`, and responds with 404 otherwise.
    pub(crate) async fn with(artifact: Artifact) -> Self {
        Self::start(move |parts, _| serve(&artifact, parts)).await
    }

    /// The received requests.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("the log").clone()
    }

    /// The number of requests for a path with this end.
    pub(crate) fn count(&self, end: &str) -> usize {
        self.seen()
            .iter()
            .filter(|seen| seen.path.ends_with(end))
            .count()
    }

    /// The registry's `function`, followed by a tag or a digest.
    pub(crate) fn reference(&self, rest: &str) -> Reference {
        let text = format!("127.0.0.1:{}/function{rest}", self.port);
        text.parse().expect("a reference")
    }

    /// Pulls `function:1`.
    pub(crate) async fn pull(&self) -> Result<Pulled, Error> {
        self.pull_as(":1", None, brisk()).await
    }

    /// Pulls with credentials and a retry policy.
    pub(crate) async fn pull_as(
        &self,
        rest: &str,
        login: Option<Login>,
        policy: RetryPolicy,
    ) -> Result<Pulled, Error> {
        sampan_artifact::pull(&self.registry(rest, login, policy), MAX_BYTES, &silent()).await
    }

    /// The client.
    pub(crate) fn registry(
        &self,
        rest: &str,
        login: Option<Login>,
        policy: RetryPolicy,
    ) -> Registry {
        let options = Options {
            plain_http: false,
            login,
            retry: policy,
        };
        Registry::new(self.reference(rest), options).expect("a client")
    }
}

async fn handle(
    request: Request<Incoming>,
    answer: &Answer,
    log: &Mutex<Vec<Seen>>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return status(400);
    };
    let body = body.to_bytes();
    let header = parts.headers.get(AUTHORIZATION);
    log.lock().expect("the log").push(Seen {
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        authorization: header.map(|value| value.to_str().expect("a text").to_owned()),
        body: body.clone(),
    });
    answer(&parts, body)
}

/// The most bytes of a module in these tests.
pub(crate) const MAX_BYTES: u64 = 1 << 20;

/// An observer that ignores progress.
pub(crate) fn silent() -> Observer {
    Arc::new(|_| {})
}

/// A policy for tests: hopeless requests fail soon, and working ones are not cut.
pub(crate) fn brisk() -> RetryPolicy {
    RetryPolicy {
        attempts: 3,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_secs(1),
        ..RetryPolicy::default()
    }
}

/// A function of a few bytes, as a Wasm artifact.
pub(crate) fn function(wasm: &'static [u8]) -> Artifact {
    built(wasm, Layout::Artifact)
}

/// A function of a few bytes, as ordinary images.
pub(crate) fn images(wasm: &'static [u8]) -> Artifact {
    built(wasm, Layout::Image)
}

fn built(wasm: &'static [u8], layout: Layout) -> Artifact {
    let source = Source {
        name: "function".parse().expect("a name"),
        wasm: Bytes::from_static(wasm),
        component: true,
        imports: Vec::new(),
        exports: Vec::new(),
        annotations: [].into(),
    };
    Artifact::build(&source, layout).expect("an artifact")
}

/// A small component.
pub(crate) const WASM: &[u8] = b"\0asm\x0d\0\x01\0";

/// Responds as a registry that has this artifact.
pub(crate) fn serve(artifact: &Artifact, parts: &Parts) -> Response<Body> {
    let path = parts.uri.path();
    if path == "/v2/function/manifests/1" {
        return part(&artifact.root);
    }
    let all = artifact
        .blobs
        .iter()
        .chain(&artifact.manifests)
        .chain([&artifact.root]);
    let name = path.rsplit('/').next().unwrap_or_default();
    match all.into_iter().find(|part| part.digest.as_str() == name) {
        Some(found) => part(found),
        None => status(404),
    }
}

/// A part as a response.
pub(crate) fn part(part: &Part) -> Response<Body> {
    let mut response = answer(200, part.bytes.clone());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, part.media_type.parse().expect("a header"));
    let digest = part.digest.as_str().parse().expect("a header");
    headers.insert("docker-content-digest", digest);
    response
}

/// A response with a body.
pub(crate) fn answer(status: u16, bytes: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(bytes.into()).map_err(|never| match never {});
    let mut response = Response::new(body.boxed());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

/// A response without a body.
pub(crate) fn status(status: u16) -> Response<Body> {
    answer(status, "")
}

/// A response with a header.
pub(crate) fn with(
    mut response: Response<Body>,
    name: &'static str,
    value: &str,
) -> Response<Body> {
    let value = value.parse().expect("a header");
    response.headers_mut().insert(name, value);
    response
}

/// A response that redirects.
pub(crate) fn redirect(to: &str) -> Response<Body> {
    with(status(307), LOCATION.as_str().to_owned().leak(), to)
}

/// A response of chunks that never ends.
pub(crate) fn endless() -> Response<Body> {
    let piece = Bytes::from(vec![b' '; 64 << 10]);
    let pieces = stream::repeat_with(move || Ok(Frame::data(piece.clone())));
    Response::new(BodyExt::boxed(StreamBody::new(pieces)))
}

/// A response that begins, and then its connection breaks.
pub(crate) fn broken(start: Bytes, length: usize) -> Response<Body> {
    let pieces = stream::iter([
        Ok(Frame::data(start)),
        Err(io::Error::from(io::ErrorKind::ConnectionReset)),
    ]);
    let response = Response::new(BodyExt::boxed(StreamBody::new(pieces)));
    with(response, "content-length", &length.to_string())
}

/// A response that begins and never ends.
pub(crate) fn stalled(start: Bytes, length: usize) -> Response<Body> {
    let pieces = stream::iter([Ok(Frame::data(start))]).chain(stream::pending());
    let response = Response::new(BodyExt::boxed(StreamBody::new(pieces)));
    with(response, "content-length", &length.to_string())
}
