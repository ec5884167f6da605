//! Shows the target of a request, and whether the fields that it comes from are visible.

use wasip2::http::types::{IncomingRequest, Scheme};

/// `SCHEME AUTHORITY PATH host=FIELDS cookie=FIELDS`.
pub(crate) fn target(request: &IncomingRequest) -> String {
    let scheme = match request.scheme() {
        Some(Scheme::Http) => "http",
        Some(Scheme::Https) => "https",
        Some(Scheme::Other(_)) => "other",
        None => "none",
    };
    let authority = request.authority().unwrap_or_else(|| "none".to_owned());
    let path = request.path_with_query();
    let path = path.unwrap_or_else(|| "none".to_owned());
    let fields = request.headers();
    let field = |name: &str| {
        let values = fields.get(name).into_iter();
        let values = values.map(|value| String::from_utf8_lossy(&value).into_owned());
        values.collect::<Vec<_>>()
    };
    let (host, cookie) = (field("host"), field("cookie"));
    format!("{scheme} {authority} {path} host={host:?} cookie={cookie:?}")
}
