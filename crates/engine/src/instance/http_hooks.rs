//! Outbound HTTP of a guest, for the hooks of wasi:http: rules, concurrency limit, time limits, and
//! outcome of each call.
//!
//! The rules are checked twice: here with the name that the guest gave, and for each connection
//! with every address of that name; see [`crate::outbound::resolve`].

use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::header::HeaderName;
use http::{Method, Request, Response};
use tokio::time::{Instant, timeout, timeout_at};
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, ForbiddenHeaderFilter, RequestOptions, WasiBody,
    WasiHttpHooks,
};

use crate::context::call_state::{Call, OutboundPermit, TRACEPARENT};
use crate::observer::{Outbound, OutboundFailure};
use crate::outbound::client::{SendError, Times};
use crate::outbound::failure::Failure;
use crate::outbound::received_body::{BodyTimes, read_ahead};
use crate::outbound::sent_body::{Content, Held, SentBody};
use crate::outbound::upstream::{Origin, Upstream};

/// Time limit for making a connection, TLS included, if the guest sets none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit for a response's head, and for the beginning of a request's body that decides how the
/// request is framed, if the guest sets none.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_mins(1);

/// The most bytes of a host in a report: those of the longest name in DNS.
const MAX_REPORTED_HOST: usize = 253;

/// The host's side of wasi:http for one call.
pub(super) struct Hooks {
    call: Arc<Call>,
}

impl Hooks {
    pub(super) fn new(call: Arc<Call>) -> Self {
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
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _transmitted: Io,
    ) -> Sending {
        let call = Arc::clone(&self.call);
        Box::new(async move {
            let report = Report {
                call: &call,
                origin: Origin::of(request.uri()),
            };
            match call_out(&report, request, options.unwrap_or_default()).await {
                Ok(response) => {
                    call.function.observer.outbound(Outbound::Answered);
                    // A task drives the connection.
                    Ok((response, Box::new(async { Ok(()) }) as Io))
                }
                Err(failure) => {
                    report.failed(&failure);
                    Err(failure.code())
                }
            }
        })
    }
}

/// Reports the failure of one call.
struct Report<'a> {
    call: &'a Arc<Call>,
    /// `None` for a scheme without rules.
    origin: Option<Origin>,
}

impl Report<'_> {
    fn failed(&self, failure: &Failure) {
        let function = &self.call.function;
        function.observer.outbound(failure.outcome());
        let Some(left_out) = function.report_limit.admit(std::time::Instant::now()) else {
            return;
        };
        // It may contain names from a server's certificate.
        let reason = failure.to_string().replace(char::is_control, " ");
        let (scheme, host, port) = match &self.origin {
            Some(Origin { scheme, host, port }) => {
                let end = host.floor_char_boundary(MAX_REPORTED_HOST);
                (scheme.as_str(), &host[..end], *port)
            }
            None => ("", "", 0),
        };
        let failure = OutboundFailure {
            outcome: failure.outcome(),
            scheme,
            host,
            port,
            reason: &reason,
            left_out,
        };
        let request_id = self.call.request_id.as_ref();
        function.observer.outbound_failed(&failure, request_id);
    }
}

/// Sends a request and waits for the head of its response.
async fn call_out(
    report: &Report<'_>,
    request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<Response<WasiBody>, Failure> {
    let call = report.call;
    let upstream = (report.origin.clone())
        .and_then(|origin| origin.permitted(&call.function.spec.outbound))
        .ok_or(Failure::Denied)?;
    if request.method() == Method::CONNECT {
        return Err(Failure::Connect);
    }
    let request = prepare(call, request, first_byte(options)).await?;
    let connect_by = options.connect_timeout.map(|limit| Instant::now() + limit);
    let permit = open(report, connect_by).await?;
    exchange(call, &upstream, request, options, connect_by, permit)
        .await
        .map_err(Failure::Send)
}

fn first_byte(options: RequestOptions) -> Duration {
    options.first_byte_timeout.unwrap_or(FIRST_BYTE_TIMEOUT)
}

/// Finds out within a time limit how the request is framed, and adds the trace context.
async fn prepare(
    call: &Call,
    request: Request<WasiBody>,
    limit: Duration,
) -> Result<Request<SentBody>, Failure> {
    let (mut head, body) = request.into_parts();
    let content = timeout(limit, Content::of(&head.method, body))
        .await
        .map_err(|_| Failure::BodyTimeout)?
        .map_err(Failure::Body)?;
    if let Some(content) = &content {
        content.announce(&mut head.headers);
    }
    if let Some(trace) = &call.trace
        && !head.headers.contains_key(&TRACEPARENT)
    {
        trace.write(&mut head.headers);
    }
    Ok(Request::from_parts(head, SentBody::new(content)))
}

/// Takes one of the call's outbound connections. If all are in use, waits until one is free. The wait
/// ends at `by`, or with the call. A command that runs without a deadline waits as long as a request
/// may take.
async fn open(report: &Report<'_>, by: Option<Instant>) -> Result<OutboundPermit, Failure> {
    let call = report.call;
    if let Some(permit) = call.try_open_outbound() {
        return Ok(permit);
    }
    let limits = &call.function.spec.limits;
    let limit = limits.outbound_connections;
    if limit == 0 {
        return Err(Failure::Limit(limit));
    }
    let mut wait = Wait {
        report,
        limit,
        has_ended: false,
    };
    let by = by.or_else(|| {
        // A request has ended by then. A timer of the wait's own would race with that of the deadline.
        let longest = Instant::now() + limits.timeout;
        (Instant::from_std(call.clock.deadline()) > longest).then_some(longest)
    });
    let opened = match by {
        Some(by) => timeout_at(by, call.open_outbound()).await.ok(),
        None => Some(call.open_outbound().await),
    };
    wait.has_ended = true;
    opened.ok_or(Failure::Limit(limit))
}

/// A wait for a free connection. Reports the failure if the call's deadline breaks the wait off. A
/// guest may give the wait up before that, which is no failure.
struct Wait<'a> {
    report: &'a Report<'a>,
    limit: u32,
    has_ended: bool,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let deadline = self.report.call.clock.deadline();
        if !self.has_ended && std::time::Instant::now() >= deadline {
            self.report.failed(&Failure::Limit(self.limit));
        }
    }
}

async fn exchange(
    call: &Call,
    upstream: &Upstream,
    mut request: Request<SentBody>,
    options: RequestOptions,
    connect_by: Option<Instant>,
    permit: OutboundPermit,
) -> Result<Response<WasiBody>, SendError> {
    // A connection is free when its request and its response have ended.
    let permit: Held = Arc::new(permit);
    request.body_mut().hold(Arc::clone(&permit));
    let connect = options.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    let times = Times {
        connect,
        connect_by: connect_by.unwrap_or_else(|| Instant::now() + connect),
        first_byte: first_byte(options),
    };
    let (response, first_by) = call
        .function
        .client()
        .send(upstream, request, times)
        .await?;
    // The guest's own limit counts to the first byte of the body. The default ends with the head: a
    // server may have nothing to send for a long time.
    let times = BodyTimes {
        first_by: options.first_byte_timeout.map(|_| first_by),
        between: options.between_bytes_timeout,
    };
    Ok(response.map(|body| read_ahead(body, times, call.ahead(), permit)))
}
