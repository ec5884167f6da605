//! One request of a known function, from the checks of its limits to the head of its response.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use sampan_engine::CallContext;
use sampan_spec::HttpMode;

use super::cgi;
use super::request_guard::RequestGuard;
use super::response_body::ResponseBody;
use crate::local_reply::refusal::Refusal;
use crate::observability::request_context::RequestContext;
use crate::routing::deployed::Callee;
use crate::routing::path_offset::PathOffset;
use crate::server::scheduler_load::is_busy;
use crate::server::{FIELD_OVERHEAD, Malformed, RequestBody};

/// Serves a request of a known function.
pub(super) async fn respond<F: Callee>(
    mut guard: RequestGuard<F>,
    request: Request<RequestBody>,
    offset: PathOffset,
    context: &RequestContext,
) -> Response<ResponseBody<F>> {
    match call(&mut guard, request, offset, context).await {
        Ok(response) => {
            guard.answered(response.status());
            response.map(|body| ResponseBody::function(body, guard))
        }
        Err(refusal) => {
            guard.refused(&refusal);
            ResponseBody::refusal(&refusal, Some(guard))
        }
    }
}

async fn call<F: Callee>(
    guard: &mut RequestGuard<F>,
    mut request: Request<RequestBody>,
    offset: PathOffset,
    context: &RequestContext,
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
        .then(|| cgi::context(request.uri().path(), offset, context.peer.ip()))
        .transpose()
        .map_err(Refusal::Malformed)?;
    if offset != PathOffset(0) {
        let uri = offset.own_uri(request.uri());
        *request.uri_mut() = uri.ok_or(Refusal::Malformed(Malformed::BadTarget))?;
    }
    guard.enter().await.map_err(Refusal::Rejected)?;
    let context = CallContext {
        arrived: Some(guard.started()),
        request_id: Some(context.request_id.clone()),
        busy: is_busy(),
        cgi,
        trace: context.trace.as_ref().map(|trace| trace.fields.clone()),
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
    let bytes = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().len() + value.len() + FIELD_OVERHEAD) as u64
    };
    headers.iter().map(bytes).sum()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::header_bytes;

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
