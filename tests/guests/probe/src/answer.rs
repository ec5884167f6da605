//! Writes answers: a text, an echo of the request, or an endless body.

use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::StreamError;

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
