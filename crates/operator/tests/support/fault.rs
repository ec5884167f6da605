//! A client whose way to the API server can be disturbed.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::{Context, Poll};

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use tokio::sync::Notify;
use tower_service::Service;

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// It arrives and is answered.
    Pass,
    /// It is answered with this code, and does not arrive.
    Answer(u16),
    /// It is answered with these bytes, and does not arrive.
    Reply(String),
    /// The operator ends before it is sent.
    CrashBefore,
    /// It arrives, and the operator ends before it has the answer.
    CrashAfter,
}

type Rule = Box<dyn FnMut(&Request<Body>) -> Fate + Send>;

/// The way, and what happens on it.
#[derive(Clone)]
pub(crate) struct Way(Arc<Inner>);

struct Inner {
    rule: Mutex<Rule>,
    crashed: Notify,
    seen: Mutex<Vec<(Method, String)>>,
}

impl Way {
    /// A way on which nothing happens.
    pub(crate) fn clear() -> Self {
        Self::with(|_| Fate::Pass)
    }

    /// A way on which `rule` decides.
    pub(crate) fn with(rule: impl FnMut(&Request<Body>) -> Fate + Send + 'static) -> Self {
        Self(Arc::new(Inner {
            rule: Mutex::new(Box::new(rule)),
            crashed: Notify::new(),
            seen: Mutex::default(),
        }))
    }

    /// From now on another rule decides.
    pub(crate) fn change(&self, rule: impl FnMut(&Request<Body>) -> Fate + Send + 'static) {
        *self.0.rule.lock().expect("no panic") = Box::new(rule);
    }

    /// The same client on this way.
    pub(crate) fn client(&self, client: Client) -> Client {
        let namespace = client.default_namespace().to_owned();
        Client::new(
            Walker {
                client,
                way: self.clone(),
            },
            namespace,
        )
    }

    /// Waits for a crash.
    pub(crate) async fn crashed(&self) {
        self.0.crashed.notified().await;
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<(Method, String)> {
        self.0.seen.lock().expect("no panic").clone()
    }

    /// The writes among them, those of the Lease aside.
    pub(crate) fn writes(&self) -> Vec<(Method, String)> {
        let seen = self.seen().into_iter();
        seen.filter(|(method, path)| is_write(method, path))
            .collect()
    }
}

/// Whether a request changes something. To ask for one's rights is no change.
pub(crate) fn is_write(method: &Method, path: &str) -> bool {
    *method != Method::GET && !path.contains("/leases") && !path.contains("selfsubject")
}

struct Walker {
    client: Client,
    way: Way,
}

impl Service<Request<Body>> for Walker {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, kube::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), kube::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (client, way) = (self.client.clone(), self.way.clone());
        let fate = (way.0.rule.lock().expect("no panic"))(&request);
        let path = request.uri().to_string();
        way.0
            .seen
            .lock()
            .expect("no panic")
            .push((request.method().clone(), path));
        Box::pin(async move {
            match fate {
                Fate::Pass => client.send(request).await,
                Fate::Answer(code) => Ok(answer(code)),
                Fate::Reply(text) => Ok(Response::new(Body::from(text.into_bytes()))),
                Fate::CrashBefore => {
                    way.0.crashed.notify_one();
                    std::future::pending().await
                }
                Fate::CrashAfter => {
                    let _ = client.send(request).await;
                    way.0.crashed.notify_one();
                    std::future::pending().await
                }
            }
        })
    }
}

fn answer(code: u16) -> Response<Body> {
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "made by the test",
        "reason": if code == 410 { "Expired" } else { "InternalError" }, "code": code,
    });
    let mut response = Response::new(Body::from(status.to_string().into_bytes()));
    *response.status_mut() = StatusCode::from_u16(code).expect("a code");
    response
}
