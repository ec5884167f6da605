//! Makes outbound calls: one as it is described, or several at once.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use wasip3::http::client::send;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, RequestOptions, Response, Scheme};
use wasip3::wit_bindgen::spawn_local;
use wasip3::{wit_future, wit_stream};

/// Sends the described request, and returns the status and the body, or the error.
pub(crate) async fn request(description: &str) -> String {
    match begin(&Call::of(description)).await {
        Ok(answer) => read(answer).await,
        Err(error) => format!("{error:?}"),
    }
}

/// Sends the described request `count` times at once. Reads the first body when every head is there.
pub(crate) async fn many(description: &str) -> String {
    let call = Call::of(description);
    let heads = all((0..call.count).map(|_| begin(&call))).await;
    let mut bodies = Vec::new();
    for head in heads {
        bodies.push(match head {
            Ok(answer) => read(answer).await,
            Err(error) => format!("{error:?}"),
        });
    }
    bodies.join(", ")
}

/// Runs futures at once, and returns their results in order.
async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<(Pin<Box<F>>, Option<F::Output>)> =
        futures.map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        for (future, result) in &mut running {
            if result.is_none()
                && let Poll::Ready(output) = future.as_mut().poll(context)
            {
                *result = Some(output);
            }
        }
        if running.iter().all(|(_, result)| result.is_some()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    running
        .into_iter()
        .filter_map(|(_, result)| result)
        .collect()
}

/// A request as a text describes it: `KEY=VALUE;...;to=SCHEME://AUTHORITY/PATH`.
struct Call {
    method: Method,
    /// Sent without a length, as with `method=GET;body=text`.
    body: Option<String>,
    /// Whether the body never ends: its trailers never arrive.
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
    fn of(description: &str) -> Call {
        let (options, target) = description.split_once("to=").expect("it has a target");
        let (scheme, rest) = target.split_once("://").expect("it has a scheme");
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let mut call = Call {
            method: Method::Get,
            body: None,
            open: false,
            connect: None,
            first_byte: None,
            between_bytes: None,
            count: 1,
            scheme: match scheme {
                "https" => Scheme::Https,
                _ => Scheme::Http,
            },
            authority: authority.to_owned(),
            path: format!("/{path}"),
        };
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

async fn begin(call: &Call) -> Result<Response, ErrorCode> {
    let options = RequestOptions::new();
    let set = options
        .set_connect_timeout(call.connect)
        .and_then(|()| options.set_first_byte_timeout(call.first_byte))
        .and_then(|()| options.set_between_bytes_timeout(call.between_bytes));
    set.expect("the host has these options");
    let contents = call.body.clone().map(|body| {
        let (mut writer, contents) = wit_stream::new();
        spawn_local(async move {
            // The write ends early when there is no connection; the response says why.
            let _ = writer.write_all(body.into_bytes()).await;
        });
        contents
    });
    let (trailers, trailers_end) = wit_future::new(|| Ok(None));
    if call.open {
        // It lives as long as the instance, and so as the call.
        std::mem::forget(trailers);
    } else {
        drop(trailers);
    }
    let (request, _sent) = Request::new(Fields::new(), contents, trailers_end, Some(options));
    let set = request
        .set_method(&call.method)
        .and_then(|()| request.set_scheme(Some(&call.scheme)))
        .and_then(|()| request.set_authority(Some(&call.authority)))
        .and_then(|()| request.set_path_with_query(Some(&call.path)));
    set.map_err(|()| ErrorCode::HttpRequestUriInvalid)?;
    send(request).await
}

/// The status of a response with its body, or with the error that broke it off.
async fn read(response: Response) -> String {
    let status = response.get_status_code();
    let (_, result) = wit_future::new(|| Ok(()));
    let (body, trailers) = Response::consume_body(response, result);
    let bytes = body.collect().await;
    let text = String::from_utf8_lossy(&bytes);
    match trailers.await {
        Ok(_) => format!("{status} {text}"),
        Err(error) => format!("{status} {text}{error:?}"),
    }
}
