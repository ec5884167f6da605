//! Environment variables of a CGI request (RFC 3875, section 4.1).

use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, PROXY_AUTHORIZATION};
use http::request::Parts;

/// Returns the variables of one request.
///
/// Credentials are left out, as the RFC asks. `Proxy` is left out as well: as `HTTP_PROXY` it would
/// redirect the outbound calls of programs that read that variable (CVE-2016-5385 and similar).
pub(crate) fn of(parts: &Parts) -> Vec<(String, String)> {
    let header = |name| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let host = parts
        .uri
        .authority()
        .map(http::uri::Authority::as_str)
        .or_else(|| header(HOST));
    let host = host.unwrap_or("localhost");
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, port),
        _ => (host, "80"),
    };
    let mut variables: Vec<(String, String)> = [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        (
            "SERVER_SOFTWARE",
            concat!("sampan/", env!("CARGO_PKG_VERSION")),
        ),
        ("SERVER_PROTOCOL", protocol(parts.version)),
        ("SERVER_NAME", name),
        ("SERVER_PORT", port),
        ("REQUEST_METHOD", parts.method.as_str()),
        ("SCRIPT_NAME", ""),
        ("PATH_INFO", parts.uri.path()),
        ("QUERY_STRING", parts.uri.query().unwrap_or_default()),
        ("CONTENT_LENGTH", header(CONTENT_LENGTH).unwrap_or_default()),
        ("CONTENT_TYPE", header(CONTENT_TYPE).unwrap_or_default()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for name in parts.headers.keys() {
        if [
            AUTHORIZATION,
            PROXY_AUTHORIZATION,
            CONTENT_LENGTH,
            CONTENT_TYPE,
        ]
        .contains(name)
            || name == "proxy"
        {
            continue;
        }
        let values: Vec<&str> = parts
            .headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let separator = if name == http::header::COOKIE {
            "; "
        } else {
            ", "
        };
        let variable = name.as_str().to_ascii_uppercase().replace('-', "_");
        variables.push((format!("HTTP_{variable}"), values.join(separator)));
    }
    variables
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
    use super::*;

    #[test]
    fn the_head_becomes_variables_without_credentials() {
        let (parts, ()) = http::Request::post("/a/b?x=1&y=%20")
            .header("host", "primes.localhost:8080")
            .header("content-type", "text/plain")
            .header("authorization", "Basic secret")
            .header("proxy", "http://evil.example")
            .header("x-one", "1")
            .header("x-one", "2")
            .body(())
            .expect("a valid request")
            .into_parts();
        let variables = of(&parts);
        let check = |name: &str, expected: Option<&str>| {
            let found = variables.iter().find(|(known, _)| known == name);
            assert_eq!(found.map(|(_, value)| value.as_str()), expected, "{name}");
        };
        check("REQUEST_METHOD", Some("POST"));
        check("PATH_INFO", Some("/a/b"));
        check("QUERY_STRING", Some("x=1&y=%20"));
        check("SERVER_NAME", Some("primes.localhost"));
        check("SERVER_PORT", Some("8080"));
        check("CONTENT_TYPE", Some("text/plain"));
        check("HTTP_X_ONE", Some("1, 2"));
        check("HTTP_AUTHORIZATION", None);
        check("HTTP_PROXY", None);
        check("HTTP_CONTENT_TYPE", None);
    }
}
