//! From a request to its function and back.
//!
//! The order is: route, limits on the head and on the announced body, a turn by admission, the call.
//! Deadlines belong to the engine; the time in the queue, the client's and the body's are not its.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use sampan_engine::{CallContext, LoadedFunction};

use crate::answer_body::AnswerBody;
use crate::deployed::{Callee, Deployed};
use crate::listing::list;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::request_id::{REQUEST_ID, identify};
use crate::round;
use crate::routes::{Found, Place, RouteTable, host};
use crate::server::{Handler, Malformed, RequestBody};
use crate::trace::continue_trace;
use crate::turn::{Access, Turn};

/// Hands requests to functions.
#[derive(Debug)]
pub struct Dispatch<F = LoadedFunction> {
    routes: RouteTable<F>,
    metrics: Metrics,
}

/// What a request gets that is for no function.
enum Other {
    List(Box<Response<Bytes>>),
    Refused(Refusal),
}

impl<F: Callee> Dispatch<F> {
    /// Follows these routes, as they change.
    pub fn new(routes: RouteTable<F>, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { routes, metrics })
    }

    fn find(&self, request: &Request<RequestBody>) -> Result<(Arc<Deployed<F>>, Place), Other> {
        let routes = self.routes.load();
        let refusal = match routes.find(request) {
            Found::Function(deployed, place) => return Ok((Arc::clone(deployed), place)),
            Found::List(entries) if matches!(*request.method(), Method::GET | Method::HEAD) => {
                let host = host(request).unwrap_or_default();
                return Err(Other::List(Box::new(list(
                    entries,
                    request.headers(),
                    host,
                ))));
            }
            Found::List(_) => Refusal::ListMethod,
            Found::NoFunction => Refusal::NoFunction,
            Found::NoRoute => Refusal::NoRoute,
            Found::Compiling => Refusal::Compiling,
            Found::Failed(cause) => Refusal::NotLoaded(cause.to_owned()),
        };
        Err(Other::Refused(refusal))
    }

    /// Answers a request that is for no function.
    fn answer_other(
        &self,
        other: Other,
        started: Instant,
        access: Option<&Access>,
    ) -> Response<AnswerBody<F>> {
        let (response, cause) = match other {
            Other::List(list) => (list.map(|text| AnswerBody::text(text, None)), None),
            Other::Refused(refusal) => (refused(&refusal, None), Some(refusal.cause())),
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
    type Body = AnswerBody<F>;

    async fn call(
        &self,
        mut request: Request<RequestBody>,
        peer: SocketAddr,
    ) -> Response<AnswerBody<F>> {
        let started = Instant::now();
        let request_id = identify(request.headers_mut());
        let trace = continue_trace(request.headers_mut());
        let access = Access::of(&request, peer, &request_id, trace);
        let mut response = match self.find(&request) {
            Ok((deployed, place)) => {
                let turn = Turn::new(deployed, started, access);
                answer(turn, request, place, &request_id).await
            }
            Err(other) => self.answer_other(other, started, access.as_deref()),
        };
        response.headers_mut().insert(REQUEST_ID, request_id);
        response
    }

    fn refuse(&self, malformed: Malformed) -> Response<AnswerBody<F>> {
        let refusal = Refusal::Malformed(malformed);
        self.metrics.count_unrouted(refusal.status().as_u16());
        refused(&refusal, None)
    }

    fn header_bytes(&self) -> usize {
        self.routes.load().header_bytes()
    }
}

/// Answers a request whose function is known.
async fn answer<F: Callee>(
    mut turn: Turn<F>,
    request: Request<RequestBody>,
    place: Place,
    request_id: &HeaderValue,
) -> Response<AnswerBody<F>> {
    match call(&mut turn, request, place, request_id).await {
        Ok(response) => {
            turn.answered(response.status());
            response.map(|body| AnswerBody::function(body, turn))
        }
        Err(refusal) => {
            turn.answered(refusal.status());
            turn.failed(refusal.cause());
            refused(&refusal, Some(turn))
        }
    }
}

async fn call<F: Callee>(
    turn: &mut Turn<F>,
    mut request: Request<RequestBody>,
    place: Place,
    request_id: &HeaderValue,
) -> Result<Response<F::Body>, Refusal> {
    let limits = &turn.deployed().function().limits;
    if header_bytes(request.headers()) > limits.request_headers.bytes() {
        return Err(Refusal::Headers);
    }
    request
        .body_mut()
        .limit(limits.request_body.bytes())
        .map_err(Refusal::Body)?;
    if place != Place(0) {
        let uri = own_uri(request.uri(), place).ok_or(Refusal::Malformed(Malformed::BadTarget))?;
        *request.uri_mut() = uri;
    }
    turn.enter().await.map_err(Refusal::Crowded)?;
    let context = CallContext {
        request_id: request_id.to_str().ok().map(Box::from),
        busy: round::is_busy(),
    };
    let fault = request.body().fault();
    let answer = turn.deployed().callee().handle(request, context);
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

/// The bytes of all fields as HTTP/1 writes them.
fn header_bytes(headers: &HeaderMap) -> u64 {
    const AROUND: usize = ": \r\n".len();
    let bytes = |(name, value): (&http::HeaderName, &HeaderValue)| {
        (name.as_str().len() + value.len() + AROUND) as u64
    };
    headers.iter().map(bytes).sum()
}

/// The target as the function sees it: without what named the function.
fn own_uri(uri: &Uri, Place(begin): Place) -> Option<Uri> {
    let path_and_query = uri.path_and_query()?.as_str().get(begin..)?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(if path_and_query.starts_with('/') {
        PathAndQuery::try_from(path_and_query).ok()?
    } else {
        PathAndQuery::try_from(format!("/{path_and_query}")).ok()?
    });
    Uri::from_parts(parts).ok()
}

fn refused<F: Callee>(refusal: &Refusal, turn: Option<Turn<F>>) -> Response<AnswerBody<F>> {
    let mut response = Response::new(AnswerBody::text(refusal.text(), turn));
    *response.status_mut() = refusal.status();
    *response.headers_mut() = refusal.headers();
    response
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Uri};

    use super::{Place, header_bytes, own_uri};

    #[test]
    fn a_function_sees_its_own_path() {
        fn check(target: &str, expected: &str) {
            let uri: Uri = target.parse().unwrap();
            let begin = Place("/function/a".len());
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
    fn fields_are_counted_as_they_are_written() {
        let mut headers = HeaderMap::new();
        headers.append("host", HeaderValue::from_static("a"));
        headers.append("x", HeaderValue::from_static("12"));
        headers.append("x", HeaderValue::from_static(""));
        assert_eq!(
            header_bytes(&headers),
            "host: a\r\nx: 12\r\nx: \r\n".len() as u64
        );
    }
}
