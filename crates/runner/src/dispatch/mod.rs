//! Dispatches requests to functions and returns their responses.
//!
//! The order is: route, limits on the head and on the announced body, admission, call. The engine
//! enforces the deadlines of a call. They cover the time in the queue, and not the transfer of the
//! body.
//!
//! This file finds the function of a request. The other files, in the order of a request:
//!
//! - `request_guard.rs`: the guard of one request, from its route to the end of its response.
//! - `call.rs`: the limits, the admission and the call. `cgi.rs` makes the context of a call over CGI.
//! - `response_body.rs`: the body of the response, which holds the guard.

mod call;
mod cgi;
mod request_guard;
pub(crate) mod response_body;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{Method, Request, Response};
use sampan_engine::{Guests, LoadedFunction};

use self::call::respond;
use self::request_guard::RequestGuard;
use self::response_body::ResponseBody;
use crate::local_reply::listing::list;
use crate::local_reply::refusal::Refusal;
use crate::observability::access_log::AccessEntry;
use crate::observability::metrics::Metrics;
use crate::observability::request_context::RequestContext;
use crate::observability::request_id::REQUEST_ID;
use crate::routing::deployed::{Callee, Deployed};
use crate::routing::path_offset::PathOffset;
use crate::routing::routes::{RouteMatch, RouteTable, host};
use crate::server::{Handler, Malformed, RequestBody};

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
        access: Option<&AccessEntry>,
    ) -> Response<ResponseBody<F>> {
        let (response, cause) = match unrouted {
            Unrouted::List(list) => (list.map(|text| ResponseBody::text(text, None)), None),
            Unrouted::Refused(refusal) => {
                (ResponseBody::refusal(&refusal, None), Some(refusal.cause()))
            }
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
        let context = RequestContext::take(request.headers_mut(), peer);
        let access = AccessEntry::of(&request, &context);
        let response = match self.find(&request) {
            Ok((deployed, offset)) => {
                let guard = RequestGuard::new(deployed, started, access);
                respond(guard, request, offset, &context).await
            }
            Err(unrouted) => self.respond_unrouted(unrouted, started, access.as_deref()),
        };
        with_identifier(response, context)
    }

    fn refuse(
        &self,
        mut request: Request<()>,
        malformed: Malformed,
        peer: SocketAddr,
    ) -> Response<ResponseBody<F>> {
        let started = Instant::now();
        let context = RequestContext::take(request.headers_mut(), peer);
        let access = AccessEntry::of(&request, &context);
        let refused = Unrouted::Refused(Refusal::Malformed(malformed));
        let response = self.respond_unrouted(refused, started, access.as_deref());
        with_identifier(response, context)
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

fn with_identifier<B>(mut response: Response<B>, context: RequestContext) -> Response<B> {
    let request_id = context.request_id.into_header();
    response.headers_mut().insert(REQUEST_ID, request_id);
    response
}
