//! Outbound HTTP of the native programs: one client with a pool of connections.
//!
//! It supports plain HTTP only: in a mesh or beside a sidecar, TLS is their task.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::{Http, OutboundError, OutboundRequest, OutboundResponse};

/// The timeout of an exchange. A component has its own deadline instead.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The HTTP client of a native program.
pub(super) struct Outbound {
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Outbound {
    pub(super) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(connector);
        Outbound { client }
    }
}

impl Http for Outbound {
    async fn send(&self, request: OutboundRequest<'_>) -> Result<OutboundResponse, OutboundError> {
        let longest = request.longest;
        let request = head(request)?;
        let exchange = async {
            let response = self
                .client
                .request(request)
                .await
                .map_err(|error| failed(&error))?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), longest)
                .collect()
                .await
                .map_err(|error| {
                    if error.is::<LengthLimitError>() {
                        OutboundError::TooLong { longest }
                    } else {
                        failed(&*error)
                    }
                })?;
            Ok(OutboundResponse {
                status,
                body: body.to_bytes().into(),
            })
        };
        tokio::time::timeout(TIMEOUT, exchange).await.map_err(|_| {
            OutboundError::Transport(format!("no answer in {} s", TIMEOUT.as_secs()))
        })?
    }
}

fn head(request: OutboundRequest<'_>) -> Result<Request<Full<Bytes>>, OutboundError> {
    let url = request.url;
    if url.is_https() {
        return Err(OutboundError::Transport(
            "native programs speak plain http only".to_owned(),
        ));
    }
    let uri: Uri = url.as_str().parse().map_err(|error| failed(&error))?;
    let mut head = Request::new(Full::default());
    *head.uri_mut() = uri;
    if let Some(json) = request.json {
        *head.method_mut() = Method::POST;
        head.headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *head.body_mut() = Full::new(Bytes::copy_from_slice(json));
    }
    Ok(head)
}

/// An error with its causes, in one line.
fn failed(error: &(dyn Error + 'static)) -> OutboundError {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    OutboundError::Transport(line)
}
