//! Dispatches requests to functions and returns their responses.
//!
//! The order is: route, limits on the head and on the announced body, admission, call. The engine
//! enforces the deadlines of a call. They do not cover the time in the queue or the transfer of the
//! body.
//!
//! This file has the whole order. The other files, in that order:
//!
//! - `request_guard.rs`: the guard of one request, from its route to the end of its response.
//! - `cgi.rs`: the context of a call over CGI.
//! - `response_body.rs`: the body of the response, which holds the guard.

mod cgi;
mod request_guard;
pub(crate) mod response_body;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use sampan_engine::{CallContext, Guests, LoadedFunction};
use sampan_spec::HttpMode;

use self::request_guard::{Access, RequestGuard};
use self::response_body::ResponseBody;
use crate::local_reply::listing::list;
use crate::local_reply::refusal::Refusal;
use crate::observability::metrics::Metrics;
use crate::observability::request_id::{REQUEST_ID, identify};
use crate::observability::trace::continue_trace;
use crate::routing::deployed::{Callee, Deployed};
use crate::routing::routes::{PathOffset, RouteMatch, RouteTable, host};
use crate::server::scheduler_load;
use crate::server::{FIELD_OVERHEAD, Handler, Malformed, RequestBody};

/// Dispatches requests to functions.
#[derive(Debug)]
pub struct Dispatch<F = LoadedFunction> {
    routes: RouteTable<F>,
    metrics: Metrics,
    guests: Guests,
}

/// The result for a request that no function serves.
enum Unrouted {
    List(Box<Response<Bytes>>),
    Refused(Refusal),
}

impl<F: Callee> Dispatch<F> {
    /// Makes a dispatcher that follows changes of `routes`. `guests` are those that go on after the
    /// answers of its functions.
    pub fn new(routes: RouteTable<F>, metrics: Metrics, guests: Guests) -> Arc<Self> {
        Arc::new(Self {
            routes,
            metrics,
            guests,
        })
    }

    fn find(
        &self,
        request: &Request<RequestBody>,
    ) -> Result<(Arc<Deployed<F>>, PathOffset), Unrouted> {
        let routes = self.routes.load();
        let refusal = match routes.find(request) {
            RouteMatch::Function(deployed, offset) => return Ok((Arc::clone(deployed), offset)),
            RouteMatch::List(entries)
                if matches!(*request.method(), Method::GET | Method::HEAD) =>
            {
                let host = host(request).unwrap_or_default();
                return Err(Unrouted::List(Box::new(list(
                    entries,
                    request.headers(),
                    host,
                ))));
            }
            RouteMatch::List(_) => Refusal::ListMethod,
            RouteMatch::NoFunction => Refusal::NoFunction,
            RouteMatch::NoRoute => Refusal::NoRoute,
            RouteMatch::Compiling => Refusal::Compiling,
            RouteMatch::Failed(cause) => Refusal::NotLoaded(cause.to_owned()),
        };
        Err(Unrouted::Refused(refusal))
    }

    /// Responds to a request that no function serves.
    fn respond_unrouted(
        &self,
        unrouted: Unrouted,
        started: Instant,
        access: Option<&Access>,
    ) -> Response<ResponseBody<F>> {
        let (response, cause) = match unrouted {
            Unrouted::List(list) => (list.map(|text| ResponseBody::text(text, None)), None),
            Unrouted::Refused(refusal) => (refused(&refusal, None), Some(refusal.cause())),
        };
        let status = response.status().as_u16();
        self.metrics.count_unrouted(status);
        if let Some(access) = access {
            access.log(None, status, started.elapsed(), cause);
        }
        response
    }
}

impl<F: Callee> Handler for Dispatch<F> {
    type Body = ResponseBody<F>;

    async fn call(
        &self,
        mut request: Request<RequestBody>,
        peer: SocketAddr,
    ) -> Response<ResponseBody<F>> {
        let started = Instant::now();
        let request_id = identify(request.headers_mut());
        let trace = continue_trace(request.headers_mut());
        let access = Access::of(&request, peer, &request_id, trace);
        let mut response = match self.find(&request) {
            Ok((deployed, offset)) => {
                let guard = RequestGuard::new(deployed, started, access);
                respond(guard, request, offset, peer, &request_id).await
            }
            Err(unrouted) => self.respond_unrouted(unrouted, started, access.as_deref()),
        };
        response.headers_mut().insert(REQUEST_ID, request_id);
        response
    }

    fn refuse(&self, malformed: Malformed) -> Response<ResponseBody<F>> {
        let refusal = Refusal::Malformed(malformed);
        self.metrics.count_unrouted(refusal.status().as_u16());
        refused(&refusal, None)
    }

    fn header_bytes(&self) -> usize {
        self.routes.load().header_bytes()
    }

    async fn work_ended(&self) {
        self.guests.all_ended().await;
    }

    fn cut_work(&self) -> usize {
        self.guests.stop()
    }
}

/// Serves a request of a known function.
async fn respond<F: Callee>(
    mut guard: RequestGuard<F>,
    request: Request<RequestBody>,
    offset: PathOffset,
    peer: SocketAddr,
    request_id: &HeaderValue,
) -> Response<ResponseBody<F>> {
    match call(&mut guard, request, offset, peer, request_id).await {
        Ok(response) => {
            guard.answered(response.status());
            response.map(|body| ResponseBody::function(body, guard))
        }
        Err(refusal) => {
            guard.refused(&refusal);
            refused(&refusal, Some(guard))
        }
    }
}

async fn call<F: Callee>(
    guard: &mut RequestGuard<F>,
    mut request: Request<RequestBody>,
    offset: PathOffset,
    peer: SocketAddr,
    request_id: &HeaderValue,
) -> Result<Response<F::Body>, Refusal> {
    let function = guard.deployed().function();
    let limits = &function.limits;
    if header_bytes(request.headers()) > limits.request_headers.bytes() {
        return Err(Refusal::Headers);
    }
    request
        .body_mut()
        .limit(limits.request_body.bytes())
        .map_err(Refusal::Body)?;
    let cgi = (function.http == Some(HttpMode::Cgi))
        .then(|| cgi::context(request.uri().path(), offset, peer.ip()))
        .transpose()
        .map_err(Refusal::Malformed)?;
    if offset != PathOffset(0) {
        let uri = own_uri(request.uri(), offset).ok_or(Refusal::Malformed(Malformed::BadTarget))?;
        *request.uri_mut() = uri;
    }
    guard.enter().await.map_err(Refusal::Rejected)?;
    let context = CallContext {
        request_id: request_id.to_str().ok().map(Box::from),
        busy: scheduler_load::is_busy(),
        cgi,
    };
    let fault = request.body().fault();
    let answer = guard.deployed().callee().handle(request, context);
    let response = fault
        .race(answer)
        .await
        .map_err(Refusal::Body)?
        .map_err(Refusal::Call)?;
    if response.status().is_informational() {
        return Err(Refusal::InterimStatus);
    }
    Ok(response)
}

/// The size of all fields as HTTP/2 counts it, in bytes. Over HTTP/1 they take no more.
fn header_bytes(headers: &HeaderMap) -> u64 {
    let bytes = |(name, value): (&http::HeaderName, &HeaderValue)| {
        (name.as_str().len() + value.len() + FIELD_OVERHEAD) as u64
    };
    headers.iter().map(bytes).sum()
}

/// The target for the function: without the prefix that named the function.
fn own_uri(uri: &Uri, PathOffset(begin): PathOffset) -> Option<Uri> {
    let path_and_query = uri.path_and_query()?.as_str().get(begin..)?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(if path_and_query.starts_with('/') {
        PathAndQuery::try_from(path_and_query).ok()?
    } else {
        PathAndQuery::try_from(format!("/{path_and_query}")).ok()?
    });
    Uri::from_parts(parts).ok()
}

fn refused<F: Callee>(
    refusal: &Refusal,
    guard: Option<RequestGuard<F>>,
) -> Response<ResponseBody<F>> {
    let mut response = Response::new(ResponseBody::text(refusal.text(), guard));
    *response.status_mut() = refusal.status();
    *response.headers_mut() = refusal.headers();
    response
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Uri};

    use super::{PathOffset, header_bytes, own_uri};

    #[test]
    fn a_function_sees_its_own_path() {
        fn check(target: &str, expected: &str) {
            let uri: Uri = target.parse().unwrap();
            let begin = PathOffset("/function/a".len());
            assert_eq!(
                own_uri(&uri, begin).unwrap().to_string(),
                expected,
                "{target}"
            );
        }
        check("/function/a", "/");
        check("/function/a/", "/");
        check("/function/a?x=1", "/?x=1");
        check("/function/a/?x=1", "/?x=1");
        check("/function/a/b/c?x=%2F", "/b/c?x=%2F");
        check("/function/a//b", "//b");
        check("/function/a/../b", "/../b");
        check("http://host:80/function/a/b?c", "http://host:80/b?c");
    }

    #[test]
    fn fields_are_counted_as_in_http2() {
        let mut headers = HeaderMap::new();
        headers.append("host", HeaderValue::from_static("a"));
        headers.append("x", HeaderValue::from_static("12"));
        headers.append("x", HeaderValue::from_static(""));
        let text = "host".len() + "a".len() + "x".len() + "12".len() + "x".len();
        assert_eq!(header_bytes(&headers), (text + 3 * 32) as u64);
    }
}
