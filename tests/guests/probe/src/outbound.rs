//! Makes outbound calls: one, or as many as the host allows.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, OutgoingBody, OutgoingRequest,
    Scheme,
};

/// Calls `http://AUTHORITY/PATH`, and returns the status, or the name of the error in wasi:http.
pub(crate) fn call(target: &str) -> String {
    match begin(target).and_then(|pending| end(&pending)) {
        Ok(answer) => answer.status().to_string(),
        Err(error) => format!("{error:?}"),
    }
}

/// Begins calls without ending any, and returns their count and the error of the last one.
pub(crate) fn hold(target: &str) -> String {
    let mut open = Vec::new();
    loop {
        match begin(target).and_then(|pending| end(&pending)) {
            Ok(answer) => open.push(answer),
            Err(error) => return format!("{}: {error:?}", open.len()),
        }
    }
}

fn begin(target: &str) -> Result<FutureIncomingResponse, ErrorCode> {
    let (authority, path) = target.split_once('/').unwrap_or((target, ""));
    let request = OutgoingRequest::new(Fields::new());
    let set = request
        .set_scheme(Some(&Scheme::Http))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(&format!("/{path}"))));
    set.map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    let body = request.body().expect("it is asked for once");
    let pending = handle(request, None)?;
    OutgoingBody::finish(body, None)?;
    Ok(pending)
}

fn end(pending: &FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    pending.subscribe().block();
    pending
        .get()
        .expect("it is ready")
        .expect("it is asked for once")
}
