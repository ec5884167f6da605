//! Checks a request's head before dispatch, beyond the parser's checks.
//!
//! A request with an ambiguous host is rejected, as a defence against request smuggling.

use std::net::Ipv6Addr;

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Version};

use super::config::{MAX_FIELDS, MAX_URI_BYTES};

/// Reasons why a request is rejected before dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// HTTP/1.1 without a Host field.
    NoHost,
    /// More than one Host field.
    ManyHosts,
    /// A host, of the Host field or of the target, that is not one.
    BadHost,
    /// A Host field that names another host than the request's target.
    OtherHost,
    /// A target that is not a path of this server.
    BadTarget,
    /// A path that does not decode to UTF-8, for a function that gets it decoded.
    BadEncoding,
    /// A target that is too long.
    LongTarget,
    /// More fields than any function gets.
    ManyFields,
    /// CONNECT, which only a proxy serves.
    Connect,
}

/// Checks a request's head.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Malformed> {
    if *request.method() == Method::CONNECT {
        return Err(Malformed::Connect);
    }
    if request.headers().len() > MAX_FIELDS {
        return Err(Malformed::ManyFields);
    }
    let target = request.uri();
    let path = target.path();
    if path.len() + target.query().map_or(0, |query| query.len() + 1) > MAX_URI_BYTES {
        return Err(Malformed::LongTarget);
    }
    let whole_server = path == "*" && *request.method() == Method::OPTIONS;
    if !path.starts_with('/') && !whole_server {
        return Err(Malformed::BadTarget);
    }
    if !matches!(target.scheme_str(), None | Some("http" | "https")) {
        return Err(Malformed::BadTarget);
    }
    if !target.authority().is_none_or(is_host) {
        return Err(Malformed::BadHost);
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), target.authority()) {
        // On HTTP/1.1 a target with a host does not replace a missing field.
        (None, _) if request.version() == Version::HTTP_11 => Err(Malformed::NoHost),
        (None, _) => Ok(()),
        (Some(_), _) if hosts.next().is_some() => Err(Malformed::ManyHosts),
        (Some(host), authority) => check_host(host, authority),
    }
}

fn check_host(host: &HeaderValue, authority: Option<&Authority>) -> Result<(), Malformed> {
    let host = host.as_bytes();
    if !host.iter().all(|byte| is_host_byte(*byte)) {
        return Err(Malformed::BadHost);
    }
    match authority {
        Some(authority) if !authority.as_str().as_bytes().eq_ignore_ascii_case(host) => {
            Err(Malformed::OtherHost)
        }
        _ => Ok(()),
    }
}

/// Whether this is a host with or without a port. A user is no part of an HTTP target.
pub(super) fn is_host(authority: &Authority) -> bool {
    let (text, host) = (authority.as_str(), authority.host());
    let port = match text.strip_prefix(host) {
        Some("") => Some(""),
        Some(rest) => rest.strip_prefix(':'),
        None => None,
    };
    let fits_brackets = match host.strip_prefix('[') {
        Some(rest) => rest
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.contains(['[', ']']),
    };
    !host.is_empty()
        && text.bytes().all(is_host_byte)
        && fits_brackets
        && port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Names, IPv4 and bracketed IPv6 addresses, ports. Excludes all bytes that end a host in some
/// parser (`/`, `@`, `,`, spaces and so on).
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']' | b'%')
}

#[cfg(test)]
mod tests {
    use http::{Method, Request, Version};

    use super::{MAX_FIELDS, Malformed, check};
    use crate::server::MAX_URI_BYTES;

    fn checked(
        version: Version,
        method: Method,
        target: &str,
        hosts: &[&str],
    ) -> Option<Malformed> {
        let mut request = Request::builder()
            .version(version)
            .method(method)
            .uri(target);
        for host in hosts {
            request = request.header("host", *host);
        }
        check(&request.body(()).unwrap()).err()
    }

    #[test]
    fn a_request_names_one_host() {
        fn check(version: Version, target: &str, hosts: &[&str], expected: Option<Malformed>) {
            let found = checked(version, Method::GET, target, hosts);
            assert_eq!(found, expected, "{version:?} {target} {hosts:?}");
        }
        let http1 = Version::HTTP_11;
        check(http1, "/", &["a"], None);
        check(http1, "/", &["a.localhost:8080"], None);
        check(http1, "/", &["[::1]:8080"], None);
        check(http1, "/", &[""], None);
        check(http1, "/", &[], Some(Malformed::NoHost));
        check(http1, "http://a/", &[], Some(Malformed::NoHost));
        check(Version::HTTP_10, "/", &[], None);
        check(http1, "/", &["a", "a"], Some(Malformed::ManyHosts));
        check(
            Version::HTTP_10,
            "/",
            &["a", "b"],
            Some(Malformed::ManyHosts),
        );
        for bad in ["a b", "a/b", "a@b", "a,b", "a#b", "a\\b", "a?b", "é"] {
            check(http1, "/", &[bad], Some(Malformed::BadHost));
        }
        check(http1, "http://a/", &["A"], None);
        check(http1, "http://a/", &["b"], Some(Malformed::OtherHost));
        check(http1, "http://a:80/", &["a"], Some(Malformed::OtherHost));
        check(Version::HTTP_2, "http://a/", &[], None);
        check(Version::HTTP_2, "http://a/", &["a"], None);
        check(
            Version::HTTP_2,
            "http://a/",
            &["b"],
            Some(Malformed::OtherHost),
        );
        for target in ["http://me@a/", "http://a:x/", "http://a[b]/", "http://[a]/"] {
            check(Version::HTTP_2, target, &[], Some(Malformed::BadHost));
        }
        check(Version::HTTP_2, "https://a:443/", &[], None);
        check(Version::HTTP_2, "ftp://a/", &[], Some(Malformed::BadTarget));
    }

    #[test]
    fn the_number_of_fields_is_limited() {
        let check = |count: usize, expected| {
            let mut request = Request::builder().uri("/").header("host", "a");
            for number in 1..count {
                request = request.header(format!("x{number}"), "");
            }
            let request = request.body(()).unwrap();
            assert_eq!(request.headers().len(), count);
            assert_eq!(super::check(&request).err(), expected, "{count}");
        };
        check(MAX_FIELDS, None);
        check(MAX_FIELDS + 1, Some(Malformed::ManyFields));
    }

    #[test]
    fn a_target_is_a_path_of_bounded_length() {
        fn check(method: &Method, target: &str, expected: Option<Malformed>) {
            let found = checked(Version::HTTP_11, method.clone(), target, &["a"]);
            assert_eq!(found, expected, "{method} {target}");
        }
        check(&Method::GET, "/a/b?c=d", None);
        check(&Method::OPTIONS, "*", None);
        check(&Method::GET, "*", Some(Malformed::BadTarget));
        check(&Method::GET, "a", Some(Malformed::BadTarget));
        check(&Method::CONNECT, "a:80", Some(Malformed::Connect));
        let path = |length: usize| format!("/{}", "x".repeat(length - 1));
        check(&Method::GET, &path(MAX_URI_BYTES - 1), None);
        check(&Method::GET, &path(MAX_URI_BYTES), None);
        check(
            &Method::GET,
            &path(MAX_URI_BYTES + 1),
            Some(Malformed::LongTarget),
        );
        let query = |length: usize| format!("/?{}", "x".repeat(length - 2));
        check(&Method::GET, &query(MAX_URI_BYTES), None);
        check(
            &Method::GET,
            &query(MAX_URI_BYTES + 1),
            Some(Malformed::LongTarget),
        );
    }
}
