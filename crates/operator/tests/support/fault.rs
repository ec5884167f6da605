//! Injects faults into requests to the API server.

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

/// The treatment of a request.
#[derive(Clone, Debug)]
pub(crate) enum FaultAction {
    /// It arrives and is answered.
    Pass,
    /// It does not arrive, and the response has this code.
    Answer(u16),
    /// It does not arrive, and the response has these bytes.
    Reply(String),
    /// The operator ends before the request is sent.
    CrashBefore,
    /// It arrives, and the operator ends before the response.
    CrashAfter,
}

type Rule = Box<dyn FnMut(&Request<Body>) -> FaultAction + Send>;

/// A rule for requests, with a record of them.
#[derive(Clone)]
pub(crate) struct FaultInjector(Arc<Inner>);

struct Inner {
    rule: Mutex<Rule>,
    crashed: Notify,
    seen: Mutex<Vec<(Method, String)>>,
}

impl FaultInjector {
    /// Injects no faults.
    pub(crate) fn clear() -> Self {
        Self::with(|_| FaultAction::Pass)
    }

    /// Applies `rule` to every request.
    pub(crate) fn with(rule: impl FnMut(&Request<Body>) -> FaultAction + Send + 'static) -> Self {
        Self(Arc::new(Inner {
            rule: Mutex::new(Box::new(rule)),
            crashed: Notify::new(),
            seen: Mutex::default(),
        }))
    }

    /// Replaces the rule.
    pub(crate) fn change(&self, rule: impl FnMut(&Request<Body>) -> FaultAction + Send + 'static) {
        *self.0.rule.lock().expect("no panic") = Box::new(rule);
    }

    /// Wraps a client.
    pub(crate) fn client(&self, client: Client) -> Client {
        let namespace = client.default_namespace().to_owned();
        Client::new(
            FaultService {
                client,
                faults: self.clone(),
            },
            namespace,
        )
    }

    /// Waits for a crash.
    pub(crate) async fn crashed(&self) {
        self.0.crashed.notified().await;
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<(Method, String)> {
        self.0.seen.lock().expect("no panic").clone()
    }

    /// The writes among them, except those of the Lease.
    pub(crate) fn writes(&self) -> Vec<(Method, String)> {
        let seen = self.seen().into_iter();
        seen.filter(|(method, path)| is_write(method, path))
            .collect()
    }
}

/// Whether a request is a write. A query of permissions is none.
pub(crate) fn is_write(method: &Method, path: &str) -> bool {
    *method != Method::GET && !path.contains("/leases") && !path.contains("selfsubject")
}

struct FaultService {
    client: Client,
    faults: FaultInjector,
}

impl Service<Request<Body>> for FaultService {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, kube::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), kube::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (client, faults) = (self.client.clone(), self.faults.clone());
        let action = (faults.0.rule.lock().expect("no panic"))(&request);
        let path = request.uri().to_string();
        faults
            .0
            .seen
            .lock()
            .expect("no panic")
            .push((request.method().clone(), path));
        Box::pin(async move {
            match action {
                FaultAction::Pass => client.send(request).await,
                FaultAction::Answer(code) => Ok(answer(code)),
                FaultAction::Reply(text) => Ok(Response::new(Body::from(text.into_bytes()))),
                FaultAction::CrashBefore => {
                    faults.0.crashed.notify_one();
                    std::future::pending().await
                }
                FaultAction::CrashAfter => {
                    let _ = client.send(request).await;
                    faults.0.crashed.notify_one();
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
