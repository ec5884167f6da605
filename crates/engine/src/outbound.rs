//! Outbound HTTP of a guest: rules, concurrency limit, and outcome of each call.
//!
//! The rules are checked twice: here with the name that the guest gave, and by the connector with
//! every address of that name; see [`crate::client`].

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody,
    WasiHttpHooks,
};

use crate::call::{Call, OutboundPermit};
use crate::client::{self, ConnectError};
use crate::observer::Outbound;

/// Time limit for a response's head, if the guest sets none.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_mins(1);

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The host's side of wasi:http for one call.
pub(crate) struct Hooks {
    call: Arc<Call>,
}

impl Hooks {
    pub(crate) fn new(call: Arc<Call>) -> Self {
        Self { call }
    }
}

type Io = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sending = Box<dyn Future<Output = Result<(Response<WasiBody>, Io), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        // One shared filter saves an allocation for each request.
        static FILTER: LazyLock<ForbiddenHeaderFilter> =
            LazyLock::new(|| Arc::new(|name| DEFAULT_FORBIDDEN_HEADERS.contains(name)));
        Arc::clone(&FILTER)
    }

    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _transmitted: Io,
    ) -> Sending {
        let call = Arc::clone(&self.call);
        let observer = Arc::clone(&call.function.observer);
        if client::permit(&call.function.spec.outbound, request.uri()).is_none() {
            observer.outbound(Outbound::Denied);
            return Box::new(async { Err(Error::HttpRequestDenied) });
        }
        let Some(open) = call.open_outbound() else {
            observer.outbound(Outbound::LimitReached);
            return Box::new(async { Err(Error::ConnectionLimitReached) });
        };
        if let Some(parent) = &call.traceparent
            && !request.headers().contains_key(&TRACEPARENT)
        {
            request.headers_mut().insert(TRACEPARENT, parent.clone());
        }
        Box::new(async move {
            let sent = send(&call, request, options.as_ref(), open).await;
            observer.outbound(match &sent {
                Ok(_) => Outbound::Answered,
                Err(Error::HttpRequestDenied) => Outbound::DeniedAddress,
                Err(_) => Outbound::Failed,
            });
            // The client's pool drives the connection.
            sent.map(|response| (response, Box::new(async { Ok(()) }) as Io))
        })
    }
}

async fn send(
    call: &Call,
    request: Request<WasiBody>,
    options: Option<&RequestOptions>,
    open: OutboundPermit,
) -> Result<Response<WasiBody>, Error> {
    let first_byte = options
        .and_then(|options| options.first_byte_timeout)
        .unwrap_or(FIRST_BYTE_TIMEOUT);
    let between = options.and_then(|options| options.between_bytes_timeout);
    let exchange = call.function.client().request(request);
    let response = tokio::time::timeout(first_byte, exchange)
        .await
        .map_err(|_| Error::ConnectionReadTimeout)?
        .map_err(|error| failure(&error))?;
    Ok(response.map(|body| {
        let limits = Incoming {
            body,
            between,
            timer: None,
            _open: open,
        };
        limits.boxed_unsync()
    }))
}

/// Maps a failed exchange to a wasi:http error code.
fn failure(error: &hyper_util::client::legacy::Error) -> Error {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(connect) = cause.downcast_ref::<ConnectError>() {
            return connect.into();
        }
        if let Some(own) = cause.downcast_ref::<Error>() {
            return body_failure(own);
        }
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>()
            && hyper.is_incomplete_message()
        {
            return Error::HttpResponseIncomplete;
        }
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>()
            && hyper.is_parse_too_large()
        {
            return Error::HttpResponseHeaderSectionSize(None);
        }
        source = cause.source();
    }
    if error.is_connect() {
        Error::ConnectionRefused
    } else {
        Error::ConnectionTerminated
    }
}

/// Maps a failure of the guest's own request body to that failure.
fn body_failure(error: &Error) -> Error {
    match error {
        Error::HttpRequestBodySize(size) => Error::HttpRequestBodySize(*size),
        other => Error::InternalError(Some(other.to_string())),
    }
}

/// The body of an upstream's response, with the guest's timeout between bytes. Holds the
/// connection's permit.
struct Incoming {
    body: hyper::body::Incoming,
    between: Option<Duration>,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
    _open: OutboundPermit,
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => {
                self.timer = None;
                Poll::Ready(frame.map(|frame| frame.map_err(Error::from)))
            }
            Poll::Pending => {
                let Some(between) = self.between else {
                    return Poll::Pending;
                };
                let timer = self
                    .timer
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep(between)));
                timer
                    .as_mut()
                    .poll(context)
                    .map(|()| Some(Err(Error::ConnectionReadTimeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The trace context header of a request, if it has a valid one.
pub(crate) fn traceparent(headers: &http::HeaderMap) -> Option<HeaderValue> {
    headers.get(&TRACEPARENT).cloned()
}
