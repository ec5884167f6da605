//! Environment variables of a CGI request (RFC 3875, section 4.1).
//!
//! | variable | value |
//! |---|---|
//! | `AUTH_TYPE`, `REMOTE_IDENT`, `REMOTE_USER` | not set: the server authenticates no client |
//! | `CONTENT_LENGTH`, `CONTENT_TYPE` | those of the request, if it has them; a body in chunks has no length |
//! | `GATEWAY_INTERFACE`, `SERVER_SOFTWARE` | fixed |
//! | `PATH_INFO` | the function's own path, decoded |
//! | `PATH_TRANSLATED` | not set: a function has no document tree |
//! | `QUERY_STRING`, `REQUEST_METHOD`, `SERVER_PROTOCOL` | those of the request |
//! | `REMOTE_ADDR`, `REMOTE_HOST` | the address of the client, or of the last proxy; names are not looked up |
//! | `SCRIPT_NAME` | the path that leads to the function |
//! | `SERVER_NAME`, `SERVER_PORT` | those of the target, as the client wrote it |
//! | `HTTP_...` | the fields of the request, without credentials and without those below |

use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, PROXY_AUTHORIZATION,
};
use http::request::Parts;
use http::{HeaderName, HeaderValue};

use crate::context::call_state::CgiContext;

/// Returns the variables of one request.
pub(super) fn of(parts: &Parts, context: Option<&CgiContext>) -> Vec<(String, String)> {
    let authority = parts.uri.authority();
    let host = authority.map_or("localhost", http::uri::Authority::host);
    let port = match authority.and_then(http::uri::Authority::port_u16) {
        Some(port) => port.to_string(),
        None if parts.uri.scheme_str() == Some("https") => "443".to_owned(),
        None => "80".to_owned(),
    };
    let mut variables = Vec::with_capacity(16 + parts.headers.len());
    let mut set = |name: &str, value: &str| variables.push((name.to_owned(), value.to_owned()));
    set("GATEWAY_INTERFACE", "CGI/1.1");
    set(
        "SERVER_SOFTWARE",
        concat!("sampan/", env!("CARGO_PKG_VERSION")),
    );
    set("SERVER_PROTOCOL", protocol(parts.version));
    set("SERVER_NAME", host);
    set("SERVER_PORT", &port);
    set("REQUEST_METHOD", parts.method.as_str());
    set("QUERY_STRING", parts.uri.query().unwrap_or_default());
    if let Some(context) = context {
        let remote = context.remote.to_canonical().to_string();
        set("REMOTE_ADDR", &remote);
        set("REMOTE_HOST", &remote);
        set("SCRIPT_NAME", &context.script_name);
        set("PATH_INFO", &context.path_info);
    } else {
        set("SCRIPT_NAME", "");
        set("PATH_INFO", parts.uri.path());
    }
    for (name, variable) in [
        (CONTENT_LENGTH, "CONTENT_LENGTH"),
        (CONTENT_TYPE, "CONTENT_TYPE"),
    ] {
        if let Some(value) = parts.headers.get(name) {
            set(variable, &text(value));
        }
    }
    for name in parts.headers.keys() {
        if let Some(variable) = variable(name) {
            let values = parts.headers.get_all(name).iter().map(text);
            let separator = if *name == COOKIE { "; " } else { ", " };
            set(&variable, &values.collect::<Vec<_>>().join(separator));
        }
    }
    // HTTP/2 has the host in `:authority`.
    if parts.version >= http::Version::HTTP_2
        && !parts.headers.contains_key(HOST)
        && let Some(authority) = authority
    {
        set("HTTP_HOST", authority.as_str());
    }
    variables
}

/// The variable of a field; `None` for fields that are left out: credentials, as the RFC asks, and
/// those with a variable of their own.
///
/// `Proxy` has none: as `HTTP_PROXY` it would redirect the outbound calls of programs that read that
/// variable (CVE-2016-5385 and similar). Neither have names with other characters than letters,
/// digits and hyphens: `x_a` would be taken for `x-a`, which a proxy in front may set or remove.
fn variable(name: &HeaderName) -> Option<String> {
    let text = name.as_str();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let left_out = [
        AUTHORIZATION,
        PROXY_AUTHORIZATION,
        CONTENT_LENGTH,
        CONTENT_TYPE,
    ];
    if left_out.contains(name) || text == "proxy" || !text.bytes().all(plain) {
        return None;
    }
    let text = text.to_ascii_uppercase().replace('-', "_");
    Some(format!("HTTP_{text}"))
}

/// The value of a field as text. Bytes that are not UTF-8 are ISO 8859-1, which HTTP once allowed
/// (RFC 9110, section 5.5).
fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value
            .as_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect(),
    }
}

fn protocol(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::{Request, Version};

    use super::{CgiContext, of};

    fn context() -> CgiContext {
        CgiContext {
            remote: "::ffff:192.0.2.7".parse::<IpAddr>().expect("an address"),
            script_name: "/function/words".into(),
            path_info: "/a b".to_owned(),
        }
    }

    /// Checks these variables of a request; `None` for one that is not set.
    fn check<B>(request: Request<B>, expected: &[(&str, Option<&str>)]) {
        let (parts, _) = request.into_parts();
        let variables = of(&parts, Some(&context()));
        for (name, expected) in expected {
            let found: Vec<_> = variables
                .iter()
                .filter(|(known, _)| known == name)
                .map(|(_, value)| value.as_str())
                .collect();
            let expected: Vec<_> = expected.iter().copied().collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn every_variable_of_the_rfc_has_its_value() {
        let request = Request::post("http://words.example:8080/a%20b?x=1&y=%20")
            .header("host", "words.example:8080")
            .header("content-type", "text/plain")
            .header("content-length", "3")
            .body(())
            .expect("a request");
        check(
            request,
            &[
                ("AUTH_TYPE", None),
                ("CONTENT_LENGTH", Some("3")),
                ("CONTENT_TYPE", Some("text/plain")),
                ("GATEWAY_INTERFACE", Some("CGI/1.1")),
                ("PATH_INFO", Some("/a b")),
                ("PATH_TRANSLATED", None),
                ("QUERY_STRING", Some("x=1&y=%20")),
                ("REMOTE_ADDR", Some("192.0.2.7")),
                ("REMOTE_HOST", Some("192.0.2.7")),
                ("REMOTE_IDENT", None),
                ("REMOTE_USER", None),
                ("REQUEST_METHOD", Some("POST")),
                ("SCRIPT_NAME", Some("/function/words")),
                ("SERVER_NAME", Some("words.example")),
                ("SERVER_PORT", Some("8080")),
                ("SERVER_PROTOCOL", Some("HTTP/1.1")),
                ("HTTP_HOST", Some("words.example:8080")),
                ("HTTP_CONTENT_TYPE", None),
                ("HTTP_CONTENT_LENGTH", None),
            ],
        );
    }

    #[test]
    fn what_a_request_does_not_have_is_not_set() {
        let request = Request::get("http://words.example/").body(());
        check(
            request.expect("a request"),
            &[
                ("CONTENT_LENGTH", None),
                ("CONTENT_TYPE", None),
                ("QUERY_STRING", Some("")),
                ("SERVER_PORT", Some("80")),
                ("HTTP_HOST", None),
            ],
        );
    }

    #[test]
    fn the_target_names_the_server() {
        fn target(uri: &str, version: Version, name: &str, port: &str, host: Option<&str>) {
            let request = Request::get(uri).version(version).body(());
            check(
                request.expect("a request"),
                &[
                    ("SERVER_NAME", Some(name)),
                    ("SERVER_PORT", Some(port)),
                    ("HTTP_HOST", host),
                ],
            );
        }
        target("http://[::1]:81/", Version::HTTP_10, "[::1]", "81", None);
        target("http://[::1]/", Version::HTTP_10, "[::1]", "80", None);
        target("https://a/", Version::HTTP_2, "a", "443", Some("a"));
        target("http://a:/", Version::HTTP_2, "a", "80", Some("a:"));
    }

    #[test]
    fn fields_become_variables_without_credentials_and_ambiguous_names() {
        let request = Request::get("http://words.example/")
            .header("x-one", "1")
            .header("x-one", "2")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("authorization", "Basic secret")
            .header("proxy-authorization", "Basic secret")
            .header("proxy", "http://evil.example")
            .header("x_one", "3")
            .header("x.two", "3")
            .header("x-text", "ü".as_bytes())
            .header("x-latin", &b"\xfc"[..])
            .body(())
            .expect("a request");
        check(
            request,
            &[
                ("HTTP_X_ONE", Some("1, 2")),
                ("HTTP_COOKIE", Some("a=1; b=2")),
                ("HTTP_AUTHORIZATION", None),
                ("HTTP_PROXY_AUTHORIZATION", None),
                ("HTTP_PROXY", None),
                ("HTTP_X.TWO", None),
                ("HTTP_X_TEXT", Some("ü")),
                ("HTTP_X_LATIN", Some("ü")),
            ],
        );
    }
}
