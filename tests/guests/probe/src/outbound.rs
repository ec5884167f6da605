//! Makes outbound calls: one as it is described, several at once, or as many as the host allows.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, IncomingResponse, Method,
    OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use wasip2::io::streams::StreamError;

/// Calls `http://AUTHORITY/PATH`, and returns the status, or the name of the error in wasi:http.
pub(crate) fn call(target: &str) -> String {
    match begin(&Call::to(target)).and_then(|pending| end(&pending)) {
        Ok(answer) => answer.status().to_string(),
        Err(error) => format!("{error:?}"),
    }
}

/// Sends the described request, and returns the status and the body, or the error.
pub(crate) fn request(description: &str) -> String {
    match begin(&Call::of(description)).and_then(|pending| end(&pending)) {
        Ok(answer) => read(answer),
        Err(error) => format!("{error:?}"),
    }
}

/// Sends the described request `count` times at once. Reads the first body when every head is there.
pub(crate) fn many(description: &str) -> String {
    let call = Call::of(description);
    let begun: Vec<_> = (0..call.count).map(|_| begin(&call)).collect();
    let heads: Vec<_> = begun
        .into_iter()
        .map(|pending| pending.and_then(|pending| end(&pending)))
        .collect();
    let bodies = heads.into_iter().map(|head| match head {
        Ok(answer) => read(answer),
        Err(error) => format!("{error:?}"),
    });
    bodies.collect::<Vec<_>>().join(", ")
}

/// Begins calls without ending any, and returns their count and the error of the last one.
pub(crate) fn hold(description: &str) -> String {
    let call = Call::of(description);
    let mut open = Vec::new();
    loop {
        match begin(&call).and_then(|pending| end(&pending)) {
            Ok(answer) => open.push(answer),
            Err(error) => return format!("{}: {error:?}", open.len()),
        }
    }
}

/// A request as a text describes it: `KEY=VALUE;...;to=SCHEME://AUTHORITY/PATH`.
struct Call {
    method: Method,
    /// Sent without a length, as with `method=GET;body=text`.
    body: Option<String>,
    /// Whether the body never ends.
    open: bool,
    connect: Option<u64>,
    first_byte: Option<u64>,
    between_bytes: Option<u64>,
    count: usize,
    scheme: Scheme,
    authority: String,
    path: String,
}

impl Call {
    fn to(target: &str) -> Call {
        let (scheme, rest) = match target.split_once("://") {
            Some(("https", rest)) => (Scheme::Https, rest),
            Some((_, rest)) => (Scheme::Http, rest),
            None => (Scheme::Http, target),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        Call {
            method: Method::Get,
            body: None,
            open: false,
            connect: None,
            first_byte: None,
            between_bytes: None,
            count: 1,
            scheme,
            authority: authority.to_owned(),
            path: format!("/{path}"),
        }
    }

    fn of(description: &str) -> Call {
        let (options, target) = description.split_once("to=").expect("it has a target");
        let mut call = Call::to(target);
        for option in options.split(';').filter(|option| !option.is_empty()) {
            let (key, value) = option.split_once('=').expect("it is KEY=VALUE");
            let milliseconds = || Some(value.parse::<u64>().expect("a number") * 1_000_000);
            match key {
                "method" => {
                    call.method = match value {
                        "GET" => Method::Get,
                        "HEAD" => Method::Head,
                        "POST" => Method::Post,
                        "PUT" => Method::Put,
                        "DELETE" => Method::Delete,
                        "OPTIONS" => Method::Options,
                        "CONNECT" => Method::Connect,
                        other => Method::Other(other.to_owned()),
                    }
                }
                "body" => call.body = Some(value.to_owned()),
                "open" => call.open = value.parse().expect("true or false"),
                "connect" => call.connect = milliseconds(),
                "first" => call.first_byte = milliseconds(),
                "between" => call.between_bytes = milliseconds(),
                "count" => call.count = value.parse().expect("a number"),
                other => panic!("{other} is no option"),
            }
        }
        call
    }
}

fn begin(call: &Call) -> Result<FutureIncomingResponse, ErrorCode> {
    let request = OutgoingRequest::new(Fields::new());
    let set = request
        .set_method(&call.method)
        .and_then(|()| request.set_scheme(Some(&call.scheme)))
        .and_then(|()| request.set_authority(Some(&call.authority)))
        .and_then(|()| request.set_path_with_query(Some(&call.path)));
    set.map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    let options = RequestOptions::new();
    let set = options
        .set_connect_timeout(call.connect)
        .and_then(|()| options.set_first_byte_timeout(call.first_byte))
        .and_then(|()| options.set_between_bytes_timeout(call.between_bytes));
    set.expect("the host has these options");
    let body = request.body().expect("it is asked for once");
    let pending = handle(request, Some(options))?;
    if let Some(text) = &call.body {
        let stream = body.write().expect("it is asked for once");
        // The write fails when there is no connection; the response says why.
        let _ = stream.blocking_write_and_flush(text.as_bytes());
    }
    if call.open {
        // It lives as long as the instance, and so as the call.
        std::mem::forget(body);
    } else {
        OutgoingBody::finish(body, None)?;
    }
    Ok(pending)
}

fn end(pending: &FutureIncomingResponse) -> Result<IncomingResponse, ErrorCode> {
    pending.subscribe().block();
    pending
        .get()
        .expect("it is ready")
        .expect("it is asked for once")
}

/// The status of a response with its body, or with the error that broke it off.
fn read(response: IncomingResponse) -> String {
    let mut text = format!("{} ", response.status());
    let body = response.consume().expect("it is asked for once");
    let stream = body.stream().expect("it is asked for once");
    loop {
        match stream.blocking_read(65_536) {
            Ok(piece) => text += &String::from_utf8_lossy(&piece),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => {
                return text + &error.to_debug_string();
            }
        }
    }
    drop(stream);
    drop(IncomingBody::finish(body));
    text
}
