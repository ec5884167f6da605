//! Outbound HTTP of the components, over `wasi:http/outgoing-handler`.
//!
//! It blocks the instance while it waits, so its futures are ready at the first poll.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest,
    Scheme,
};
use wasip2::io::streams::StreamError;

use crate::{Http, OutboundError, OutboundRequest, OutboundResponse, Url};

/// The most bytes of one read.
const PIECE: u64 = 256 * 1024;

/// The HTTP client of a component.
pub(super) struct Outbound;

impl Http for Outbound {
    async fn send(&self, request: OutboundRequest<'_>) -> Result<OutboundResponse, OutboundError> {
        let response = exchange(request)?;
        let status = response.status();
        let body = response.consume().map_err(|()| refused("the body"))?;
        Ok(OutboundResponse {
            status,
            body: read(&body, request.longest)?,
        })
    }
}

fn exchange(request: OutboundRequest<'_>) -> Result<IncomingResponse, OutboundError> {
    let outgoing = head(request.url, request.json)?;
    let body = outgoing.body().map_err(|()| refused("the body"))?;
    let pending = outgoing_handler::handle(outgoing, None).map_err(failed)?;
    let sent = send(body, request.json);
    pending.subscribe().block();
    match pending.get() {
        // If the request was denied or cut off, the rest of its body is not accepted. The cause is
        // in this error; the body's error only says that its reader is gone.
        Some(Ok(Err(code))) => Err(failed(code)),
        Some(Ok(Ok(answer))) => sent.map(|()| answer),
        Some(Err(())) | None => Err(refused("to report the outcome of the request")),
    }
}

fn send(body: OutgoingBody, json: Option<&[u8]>) -> Result<(), OutboundError> {
    if let Some(json) = json {
        let stream = body.write().map_err(|()| refused("the body"))?;
        super::write(&stream, json)
            .ok_or_else(|| OutboundError::Transport("the connection was closed".to_owned()))?;
    }
    OutgoingBody::finish(body, None).map_err(failed)
}

fn head(url: &Url, json: Option<&[u8]>) -> Result<OutgoingRequest, OutboundError> {
    let mut entries = Vec::with_capacity(2);
    if let Some(json) = json {
        entries.push(("content-type".to_owned(), b"application/json".to_vec()));
        entries.push((
            "content-length".to_owned(),
            json.len().to_string().into_bytes(),
        ));
    }
    let fields = Fields::from_list(&entries).map_err(|_| refused("the headers"))?;
    let outgoing = OutgoingRequest::new(fields);
    if json.is_some() {
        outgoing
            .set_method(&Method::Post)
            .map_err(|()| refused("the method"))?;
    }
    let scheme = if url.is_https() {
        Scheme::Https
    } else {
        Scheme::Http
    };
    outgoing
        .set_scheme(Some(&scheme))
        .map_err(|()| refused("the scheme"))?;
    outgoing
        .set_authority(Some(url.authority()))
        .map_err(|()| refused("the host"))?;
    let path = match url.path_with_query() {
        "" => "/",
        path => path,
    };
    outgoing
        .set_path_with_query(Some(path))
        .map_err(|()| refused("the path"))?;
    Ok(outgoing)
}

fn read(body: &IncomingBody, longest: usize) -> Result<Vec<u8>, OutboundError> {
    let stream = body.stream().map_err(|()| refused("the body"))?;
    let mut whole = Vec::new();
    loop {
        match stream.blocking_read(PIECE) {
            Ok(piece) if whole.is_empty() => whole = piece,
            Ok(piece) => whole.extend_from_slice(&piece),
            Err(StreamError::Closed) => return Ok(whole),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(OutboundError::Transport(error.to_debug_string()));
            }
        }
        if whole.len() > longest {
            return Err(OutboundError::TooLong { longest });
        }
    }
}

fn refused(what: &str) -> OutboundError {
    OutboundError::Transport(format!("the host refused {what}"))
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to `map_err`")]
fn failed(code: ErrorCode) -> OutboundError {
    OutboundError::Transport(format!("{code:?}"))
}
