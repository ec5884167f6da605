//! Writes answers: a text, an echo of the request, an endless body, or one in a given framing.

use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::StreamError;

/// The bytes of a framed answer: more than the host buffers.
const FRAMED: usize = 64 * 1024;

/// Answers in the framing of this name: `length` and `open` with content, `204` and `304` without.
pub(crate) fn framed(out: ResponseOutparam, framing: &str) {
    let fields = Fields::new();
    if framing == "length" {
        let length = FRAMED.to_string();
        fields
            .append("content-length", length.as_bytes())
            .expect("it may be set");
    }
    let response = OutgoingResponse::new(fields);
    let status: Option<u16> = framing.parse().ok();
    if let Some(status) = status {
        response.set_status_code(status).expect("it is a status");
    }
    let body = response.body().expect("it is asked for once");
    ResponseOutparam::set(out, Ok(response));
    if status.is_none() {
        let stream = body.write().expect("it is asked for once");
        for _ in 0..FRAMED / 4096 {
            stream
                .blocking_write_and_flush(&[b'.'; 4096])
                .expect("it is read, or discarded");
        }
        drop(stream);
    }
    OutgoingBody::finish(body, None).expect("the body is whole");
}

/// Announces five bytes and writes others: `long`, or three that it finishes (`finish`) or not.
pub(crate) fn misfit(out: ResponseOutparam, fault: &str) {
    let fields = Fields::new();
    fields
        .append("content-length", b"5")
        .expect("it may be set");
    let response = OutgoingResponse::new(fields);
    let body = response.body().expect("it is asked for once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("it is asked for once");
    let text: &[u8] = if fault == "long" { b"too long" } else { b"abc" };
    // Fails for the long one.
    let _ = stream.blocking_write_and_flush(text);
    drop(stream);
    if fault == "finish" {
        // Fails for the short one.
        let _ = OutgoingBody::finish(body, None);
    }
}

/// Answers with a text.
pub(crate) fn text(out: ResponseOutparam, text: &str) {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("it is asked for once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("it is asked for once");
    for piece in text.as_bytes().chunks(4096) {
        if stream.blocking_write_and_flush(piece).is_err() {
            return;
        }
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Answers with the request's body and trailers as they arrive.
pub(crate) fn echo(request: IncomingRequest, out: ResponseOutparam) {
    let incoming = request.consume().expect("it is asked for once");
    let response = OutgoingResponse::new(Fields::new());
    let outgoing = response.body().expect("it is asked for once");
    ResponseOutparam::set(out, Ok(response));
    let from = incoming.stream().expect("it is asked for once");
    let to = outgoing.write().expect("it is asked for once");
    loop {
        match from.blocking_read(4096) {
            Ok(piece) => to
                .blocking_write_and_flush(&piece)
                .expect("the client reads on"),
            Err(StreamError::Closed) => break,
            Err(error) => panic!("the request's body: {error:?}"),
        }
    }
    drop((from, to));
    let trailers = IncomingBody::finish(incoming);
    trailers.subscribe().block();
    let trailers = trailers
        .get()
        .expect("it is ready")
        .expect("it is asked for once");
    let trailers = trailers.expect("they arrive").map(|trailers| {
        let entries = trailers.entries();
        Fields::from_list(&entries).expect("they came as trailers")
    });
    OutgoingBody::finish(outgoing, trailers).expect("the body is whole");
}

/// Answers without end.
pub(crate) fn endless(out: ResponseOutparam) {
    let response = OutgoingResponse::new(Fields::new());
    let body = response.body().expect("it is asked for once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("it is asked for once");
    while stream.blocking_write_and_flush(&[b'.'; 4096]).is_ok() {}
}
