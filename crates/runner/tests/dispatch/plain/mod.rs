//! Stub functions behind a server with a dispatcher.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use sampan_engine::{CallContext, CallError, Guests, RequestId};
use sampan_runner::{
    Callee, Deployed, Dispatch, Entry, Metrics, RequestBody, RouteTable, Routes, Server,
    ServerConfig,
};
use sampan_spec::{Function, FunctionName};
use sampan_telemetry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A stub that reports its input, in the way that the path selects.
pub(crate) struct Plain {
    pub function: Arc<Function>,
    /// Shown in responses, to distinguish deployments.
    pub version: &'static str,
    /// Each call of `/hold` takes one permit to respond, each body of `/hold-body` one to end, and
    /// each call of `/work` one to end after its response.
    pub released: Arc<Semaphore>,
}

pub(crate) struct PlainBody {
    pub text: Option<Bytes>,
    pub released: Option<Arc<Semaphore>>,
    pub waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// What it waits for after its response.
    pub work: Option<Arc<Semaphore>>,
}

impl Body for PlainBody {
    type Data = Bytes;
    type Error = CallError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallError>>> {
        if let Some(text) = self.text.take() {
            return Poll::Ready(Some(Ok(Frame::data(text))));
        }
        if let Some(released) = self.released.take() {
            self.waiting = Some(Box::pin(async move {
                released.acquire().await.unwrap().forget();
            }));
        }
        match &mut self.waiting {
            Some(waiting) => waiting.as_mut().poll(context).map(|()| None),
            None => Poll::Ready(None),
        }
    }
}

impl Callee for Plain {
    type Body = PlainBody;

    fn function(&self) -> &Arc<Function> {
        &self.function
    }

    async fn handle(
        &self,
        request: Request<RequestBody>,
        context: CallContext,
    ) -> Result<Response<PlainBody>, CallError> {
        let (head, body) = request.into_parts();
        let text = match head.uri.path() {
            "/hold" => {
                self.released.acquire().await.unwrap().forget();
                "released".to_owned()
            }
            "/deadline" => {
                return Err(CallError::Deadline {
                    limit: Duration::from_secs(1),
                });
            }
            "/instances" => return Err(CallError::Instances),
            "/interim" => {
                let mut response = Response::new(PlainBody::text("interim"));
                *response.status_mut() = StatusCode::EARLY_HINTS;
                return Ok(response);
            }
            "/body" => match body.collect().await {
                Ok(body) => format!("{} bytes", body.to_bytes().len()),
                // As a guest that ignores the error.
                Err(_) => "all is well".to_owned(),
            },
            _ => format!(
                "version={} target={} uri={} context={:?} headers={:?}",
                self.version,
                head.uri.path_and_query().unwrap(),
                head.uri,
                context.request_id.as_ref().map(RequestId::as_str),
                head.headers
            ),
        };
        let mut body = PlainBody::text(&text);
        match head.uri.path() {
            "/hold-body" => body.released = Some(Arc::clone(&self.released)),
            "/work" => body.work = Some(Arc::clone(&self.released)),
            _ => {}
        }
        Ok(Response::new(body))
    }

    fn finish<T: Send + 'static>(body: &mut PlainBody, hold: impl FnOnce() -> T) {
        let is_complete = body.text.is_none();
        if let Some(work) = body.work.take().filter(|_| is_complete) {
            let held = hold();
            tokio::spawn(async move {
                work.acquire().await.unwrap().forget();
                drop(held);
            });
        }
    }
}

impl PlainBody {
    pub(crate) fn text(text: &str) -> Self {
        let text = Some(Bytes::copy_from_slice(text.as_bytes()));
        Self {
            text,
            released: None,
            waiting: None,
            work: None,
        }
    }
}

pub(crate) struct Fixture {
    pub address: SocketAddr,
    pub routes: RouteTable<Plain>,
    pub metrics: Metrics,
    pub registry: Registry,
    pub released: Arc<Semaphore>,
}

impl Fixture {
    /// Serves these functions by name.
    pub(crate) fn named(names: &[&str], adjust: impl Fn(&mut Function)) -> Self {
        Self::start(|deploy| {
            Routes::named(names.iter().map(|name| {
                let name: FunctionName = name.parse().unwrap();
                let mut function = Function::bare(name.clone());
                adjust(&mut function);
                (name, Entry::Ready(deploy(function, "1")))
            }))
        })
    }

    pub(crate) fn start(
        routes: impl FnOnce(&dyn Fn(Function, &'static str) -> Arc<Deployed<Plain>>) -> Routes<Plain>,
    ) -> Self {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry);
        let released = Arc::new(Semaphore::new(0));
        let routes = RouteTable::new(routes(&|function, version| {
            deploy(function, version, &released, &metrics)
        }));
        let config = ServerConfig::new(vec!["127.0.0.1:0".parse().unwrap()]);
        let server = Server::bind(config).unwrap();
        let address = server.addresses()[0];
        let dispatch = Dispatch::new(routes.clone(), metrics.clone(), Guests::default());
        tokio::spawn(server.run(dispatch, std::future::pending()));
        Self {
            address,
            routes,
            metrics,
            registry,
            released,
        }
    }

    pub(crate) async fn send(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    pub(crate) async fn get(&self, host: &str, target: &str) -> String {
        let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        read(&mut self.send(&request).await).await
    }

    /// Waits until a scrape has this line.
    pub(crate) async fn wait_for(&self, line: &str) {
        let begun = Instant::now();
        while !self
            .registry
            .encode()
            .unwrap()
            .lines()
            .any(|found| found == line)
        {
            let text = self.registry.encode().unwrap();
            assert!(begun.elapsed() < TEST_TIMEOUT, "no {line} in {text}");
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) fn deploy(
    function: Function,
    version: &'static str,
    released: &Arc<Semaphore>,
    metrics: &Metrics,
) -> Arc<Deployed<Plain>> {
    let released = Arc::clone(released);
    Deployed::new(
        Plain {
            function: Arc::new(function),
            version,
            released,
        },
        metrics,
    )
}

pub(crate) async fn read(stream: &mut TcpStream) -> String {
    let mut answer = String::new();
    timeout(TEST_TIMEOUT, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    answer
}

/// Expects a response with this status that contains these texts.
pub(crate) fn check(answer: &str, status: u16, texts: &[&str]) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} ")),
        "{status}: {answer}"
    );
    for text in texts {
        assert!(answer.contains(text), "{text}: {answer}");
    }
}
