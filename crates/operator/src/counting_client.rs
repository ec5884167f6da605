//! Client of the API server with request metrics.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use tower_service::Service;

use crate::metrics::Metrics;

/// Wraps a client to count its requests.
pub(crate) fn counting_client(client: Client, metrics: Metrics) -> Client {
    let namespace = client.default_namespace().to_owned();
    Client::new(CountingService { client, metrics }, namespace)
}

struct CountingService {
    client: Client,
    metrics: Metrics,
}

impl Service<Request<Body>> for CountingService {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, kube::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), kube::Error>> {
        // `send` waits by itself.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (client, metrics) = (self.client.clone(), self.metrics.clone());
        Box::pin(async move {
            let method = request.method().clone();
            let answer = client.send(request).await;
            let code = answer.as_ref().ok().map(|answer| answer.status().as_u16());
            metrics.request(method.as_str(), code);
            answer
        })
    }
}
