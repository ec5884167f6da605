//! Gives the checked head of a request one form for HTTP/1 and HTTP/2.
//!
//! - The target has a scheme and an authority: the target URI of RFC 9112, section 3.3.
//! - All `Cookie` fields are one field: RFC 9113, section 8.2.3.

use std::net::SocketAddr;

use http::header::{COOKIE, HOST};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Request, Uri};

use super::check::{Malformed, is_host};

/// Normalizes the head of a request that arrived at the address `local`.
pub(super) fn normalize<B>(request: &mut Request<B>, local: SocketAddr) -> Result<(), Malformed> {
    // Absolute targets, and all of HTTP/2 with `:authority`, have a scheme as well.
    if request.uri().authority().is_none() {
        let host = request.headers().get(HOST);
        let authority = match host.filter(|host| !host.is_empty()) {
            Some(host) => authority_of(host)?,
            None => default_authority(local),
        };
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(authority);
        *request.uri_mut() = Uri::from_parts(parts).map_err(|_| Malformed::BadTarget)?;
    }
    join_cookies(request.headers_mut());
    Ok(())
}

fn authority_of(host: &HeaderValue) -> Result<Authority, Malformed> {
    let authority = Authority::try_from(host.as_bytes()).map_err(|_| Malformed::BadHost)?;
    is_host(&authority)
        .then_some(authority)
        .ok_or(Malformed::BadHost)
}

/// The authority of a request that names none: the address of the connection.
fn default_authority(local: SocketAddr) -> Authority {
    // Without the zone of an IPv6 address, and without the IPv6 form of an IPv4 address.
    let address = SocketAddr::new(local.ip().to_canonical(), local.port());
    Authority::try_from(address.to_string()).expect("an address is an authority")
}

fn join_cookies(headers: &mut HeaderMap) {
    let values = headers.get_all(COOKIE);
    if values.iter().nth(1).is_none() {
        return;
    }
    let sensitive = values.iter().any(HeaderValue::is_sensitive);
    let values: Vec<&[u8]> = values.iter().map(HeaderValue::as_bytes).collect();
    let joined = values.join(&b"; "[..]);
    let mut joined = HeaderValue::from_bytes(&joined).expect("each part is a value of a field");
    joined.set_sensitive(sensitive);
    headers.insert(COOKIE, joined);
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;
    use http::{Method, Request, Version};

    use super::{Malformed, normalize};

    const LOCAL: &str = "127.0.0.1:8080";

    #[test]
    fn every_target_has_a_scheme_and_an_authority() {
        fn check(target: &str, host: Option<&str>, local: &str, expected: Result<&str, Malformed>) {
            let mut request = Request::builder().uri(target);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let mut request = request.body(()).unwrap();
            let outcome = normalize(&mut request, local.parse().unwrap());
            let found = outcome.map(|()| request.uri().to_string());
            let expected = expected.map(str::to_owned);
            assert_eq!(found, expected, "{target} {host:?} {local}");
            assert_eq!(
                request
                    .headers()
                    .get("host")
                    .map(|host| host.to_str().unwrap()),
                host
            );
        }
        check("/a?b", Some("x"), LOCAL, Ok("http://x/a?b"));
        check("/", Some("x:81"), LOCAL, Ok("http://x:81/"));
        check("/", Some("[::1]:81"), LOCAL, Ok("http://[::1]:81/"));
        check("/", Some("x:"), LOCAL, Ok("http://x:/"));
        check("http://y/a", Some("y"), LOCAL, Ok("http://y/a"));
        check("https://y/a", None, LOCAL, Ok("https://y/a"));
        // HTTP/1.0 needs no Host field, and an empty one names no host.
        check("/a", None, LOCAL, Ok("http://127.0.0.1:8080/a"));
        check("/a", Some(""), LOCAL, Ok("http://127.0.0.1:8080/a"));
        check("/a", None, "[::1]:8080", Ok("http://[::1]:8080/a"));
        check("/a", None, "[fe80::1%7]:80", Ok("http://[fe80::1]:80/a"));
        check(
            "/a",
            None,
            "[::ffff:10.0.0.1]:80",
            Ok("http://10.0.0.1:80/a"),
        );
        for host in [
            ":", ":80", "a:b", "a:80:80", "[::1", "::1", "a:8x", "a%41", "[::1]a",
        ] {
            check("/", Some(host), LOCAL, Err(Malformed::BadHost));
        }
    }

    #[test]
    fn a_request_for_the_whole_server_keeps_its_target() {
        let mut request = Request::builder()
            .method(Method::OPTIONS)
            .uri("*")
            .header("host", "x")
            .body(())
            .unwrap();
        normalize(&mut request, LOCAL.parse().unwrap()).unwrap();
        assert_eq!(request.uri().path(), "*");
        assert_eq!(request.uri().authority().unwrap(), "x");
    }

    #[test]
    fn cookies_are_one_field() {
        fn check(version: Version, cookies: &[&str], expected: &[&str]) {
            let mut request = Request::builder().version(version).uri("http://x/");
            for cookie in cookies {
                request = request.header("cookie", *cookie);
            }
            let mut request = request.header("x-other", "1").body(()).unwrap();
            normalize(&mut request, LOCAL.parse().unwrap()).unwrap();
            let found: Vec<_> = request
                .headers()
                .get_all(COOKIE)
                .iter()
                .map(|value| value.to_str().unwrap())
                .collect();
            assert_eq!(found, expected, "{version:?} {cookies:?}");
            assert!(request.headers().contains_key("x-other"));
        }
        for version in [Version::HTTP_11, Version::HTTP_2] {
            check(version, &[], &[]);
            check(version, &["a=1"], &["a=1"]);
            check(version, &["a=1", "b=2"], &["a=1; b=2"]);
            check(version, &["a=1; b=2", "c=3", "d"], &["a=1; b=2; c=3; d"]);
        }
    }
}
