//! The front end of the components: `wasi:http` 0.2, one call for each request.
//!
//! It minimises calls to the host, which cost more than anything else around a small function.

mod outbound;
mod preview1;

use wasip2::http::types::{Fields, OutgoingBody, OutgoingResponse};
use wasip2::io::streams::OutputStream;

use crate::allocator::Allocator;
use crate::executor::block_on;
use crate::function::respond;
use crate::{Function, Method, Request, Response};
use outbound::Outbound;

pub use wasip2::exports::http::incoming_handler::Guest;
pub use wasip2::http::types::{IncomingRequest, ResponseOutparam};

/// Exports a type as the handler of the component.
#[doc(hidden)]
pub use wasip2::http::proxy::export;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::new();

/// Answers one request.
pub fn handle(function: &impl Function, request: &IncomingRequest, answer: ResponseOutparam) {
    let method = match request.method() {
        wasip2::http::types::Method::Get => Some(Method::Get),
        wasip2::http::types::Method::Head => Some(Method::Head),
        _ => None,
    };
    let target = request.path_with_query().unwrap_or_default();
    let response = block_on(respond(function, method, &Request::new(&target), &Outbound));
    send(answer, &response, method != Some(Method::Head));
}

/// Sends a response. A body that the host accepts at once is written before the head, so that the
/// host can send both in one piece. A longer one follows the head, in the pieces that the host
/// accepts.
fn send(answer: ResponseOutparam, response: &Response, with_body: bool) {
    let outgoing = OutgoingResponse::new(fields(response, with_body));
    if response.status != 200 && outgoing.set_status_code(response.status).is_err() {
        return;
    }
    let Ok(body) = outgoing.body() else { return };
    if !with_body {
        let _ = OutgoingBody::finish(body, None);
        return ResponseOutparam::set(answer, Ok(outgoing));
    }
    let Ok(stream) = body.write() else { return };
    let permitted = stream.check_write().unwrap_or_default();
    if response.body.len() as u64 <= permitted {
        let written = stream.write(&response.body);
        drop(stream);
        if written.is_ok() {
            let _ = OutgoingBody::finish(body, None);
        }
        ResponseOutparam::set(answer, Ok(outgoing));
    } else {
        ResponseOutparam::set(answer, Ok(outgoing));
        let written = write(&stream, &response.body);
        drop(stream);
        if written.is_some() {
            let _ = OutgoingBody::finish(body, None);
        }
    }
}

/// The headers. Without the body there is no length either, because the host compares the two.
fn fields(response: &Response, with_body: bool) -> Fields {
    let mut entries = Vec::with_capacity(3);
    entries.push(("content-type".to_owned(), response.content_type.into()));
    if with_body {
        entries.push((
            "content-length".to_owned(),
            response.body.len().to_string().into_bytes(),
        ));
    }
    if let Some(allow) = response.allow {
        entries.push(("allow".to_owned(), allow.into()));
    }
    Fields::from_list(&entries).unwrap_or_else(|_| Fields::new())
}

/// Writes a body in the pieces that the stream accepts. `None` when the receiver has gone.
fn write(stream: &OutputStream, mut body: &[u8]) -> Option<()> {
    while !body.is_empty() {
        let permitted = usize::try_from(stream.check_write().ok()?).unwrap_or(usize::MAX);
        if permitted == 0 {
            stream.subscribe().block();
            continue;
        }
        let (piece, rest) = body.split_at(permitted.min(body.len()));
        stream.write(piece).ok()?;
        body = rest;
    }
    Some(())
}
