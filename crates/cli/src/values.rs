//! Parsers of argument values: addresses, folders, variables, times.
//!
//! clap shows their errors as usage errors.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue};
use sampan_artifact::Reference;
use sampan_spec::{ByteSize, Timespan, is_object_name};

/// The path and query of a request.
pub(crate) type Target = PathAndQuery;

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// The given text.
    Text(String),
    /// The content of a file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// A folder of this machine for a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    /// Its path on the host.
    pub(crate) host: PathBuf,
    /// Its path for the command.
    pub(crate) guest: String,
    /// Whether the command may write to it.
    pub(crate) writable: bool,
}

/// Parses `ADDRESS:PORT`, `localhost:PORT` or `PORT`, the latter two on the loopback interface.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost:").unwrap_or(text);
    if let Ok(port) = port.parse::<u16>() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().map_err(|_| {
        "write ADDRESS:PORT such as 127.0.0.1:8080, 0.0.0.0:80 or [::1]:8080, or only a port"
            .to_owned()
    })
}

/// Parses `NAME=VALUE`.
pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// Parses `HOST` or `HOST::GUEST`, either followed by `:ro`.
pub(crate) fn folder(text: &str) -> Result<Folder, String> {
    let (rest, writable) = match text.strip_suffix(":ro") {
        Some(rest) => (rest, false),
        None => (text, true),
    };
    let (host, guest) = rest.split_once("::").unwrap_or((rest, rest));
    if host.is_empty() || guest.is_empty() {
        return Err("write HOST or HOST::GUEST, with :ro behind for read-only".to_owned());
    }
    Ok(Folder {
        host: PathBuf::from(host),
        guest: guest.to_owned(),
        writable,
    })
}

/// Parses a reference to a function in a registry.
pub(crate) fn reference(text: &str) -> Result<Reference, String> {
    text.parse()
        .map_err(|error: sampan_artifact::ReferenceError| error.to_string())
}

/// Parses a number of bytes such as `10Mi`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let size: ByteSize = text
        .parse()
        .map_err(|error: sampan_spec::QuantityError| error.to_string())?;
    Ok(size.bytes())
}

/// Parses `/PATH?QUERY`; the slash is optional.
pub(crate) fn target(text: &str) -> Result<Target, String> {
    let text = if text.starts_with('/') {
        text.to_owned()
    } else {
        format!("/{text}")
    };
    let refuse = || {
        "write a path and query such as '/?n=100', with %20 for a space and no #fragment".to_owned()
    };
    if text.contains('#') {
        return Err(refuse());
    }
    text.parse().map_err(|_| refuse())
}

/// Parses a text, `@FILE`, or `@-`.
pub(crate) fn payload(text: &str) -> Result<Payload, String> {
    match text.strip_prefix('@') {
        None => Ok(Payload::Text(text.to_owned())),
        Some("-") => Ok(Payload::Stdin),
        Some("") => Err("write @FILE, or @- for standard input".to_owned()),
        Some(file) => Ok(Payload::File(PathBuf::from(file))),
    }
}

/// Parses `NAME: VALUE`.
pub(crate) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let refuse = || "write NAME: VALUE, such as 'Accept: text/html'".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(refuse)?;
    let name: HeaderName = name.trim().parse().map_err(|_| refuse())?;
    let value = value.trim().parse().map_err(|_| refuse())?;
    if name == http::header::CONTENT_LENGTH || name == http::header::TRANSFER_ENCODING {
        return Err(format!("{name} comes from the body itself"));
    }
    Ok((name, value))
}

/// Parses a time such as `10s`, `1m30s` or `500ms`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let timespan: Timespan = text.parse().map_err(|error| {
        format!("it is not a time ({error}); write a number and a unit such as 500ms, 10s or 1m30s")
    })?;
    Ok(timespan.0)
}

/// Parses a time that is not zero.
pub(crate) fn positive_time(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Duration::ZERO => Err("it must be more than zero".to_owned()),
        time => Ok(time),
    }
}

/// Parses the name of a cluster's object or namespace. It becomes a part of a URL, where another
/// text could ask for something else: `?` for all objects.
pub(crate) fn object_name(text: &str) -> Result<String, String> {
    if is_object_name(text) {
        Ok(text.to_owned())
    } else {
        Err("a name has only a-z, 0-9, hyphens and dots".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_be_short() {
        fn check(text: &str, expected: Option<&str>) {
            let parsed = address(text).ok().map(|address| address.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text}");
        }
        check("127.0.0.1:8080", Some("127.0.0.1:8080"));
        check("0.0.0.0:0", Some("0.0.0.0:0"));
        check("[::1]:80", Some("[::1]:80"));
        check("8080", Some("127.0.0.1:8080"));
        check("localhost:0", Some("127.0.0.1:0"));
        for refused in [
            "",
            "localhost",
            "127.0.0.1",
            "65536",
            "::1:80",
            "example.com:80",
        ] {
            check(refused, None);
        }
    }

    #[test]
    fn folders_have_a_source_a_target_and_access() {
        fn check(text: &str, expected: Option<(&str, &str, bool)>) {
            let parsed = folder(text).ok();
            let parsed = parsed.as_ref().map(|folder| {
                (
                    folder.host.to_str().expect("the test's paths are text"),
                    folder.guest.as_str(),
                    folder.writable,
                )
            });
            assert_eq!(parsed, expected, "{text}");
        }
        check("data", Some(("data", "data", true)));
        check("data:ro", Some(("data", "data", false)));
        check("/srv/data::/data", Some(("/srv/data", "/data", true)));
        check("/srv/data::/data:ro", Some(("/srv/data", "/data", false)));
        check("a:b::c", Some(("a:b", "c", true)));
        for refused in ["", ":ro", "::", "a::", "::b", "::b:ro"] {
            check(refused, None);
        }
    }

    #[test]
    fn variables_have_a_name() {
        fn check(text: &str, expected: Option<(&str, &str)>) {
            let parsed = variable(text).ok();
            let parsed = parsed
                .as_ref()
                .map(|(name, value)| (name.as_str(), value.as_str()));
            assert_eq!(parsed, expected, "{text}");
        }
        check("A=b", Some(("A", "b")));
        check("A=", Some(("A", "")));
        check("A=b=c", Some(("A", "b=c")));
        check("A", None);
        check("=b", None);
        check("", None);
    }

    #[test]
    fn times_have_units() {
        fn check(text: &str, expected: Option<u64>) {
            let parsed = positive_time(text).ok();
            assert_eq!(
                parsed.map(|time| time.as_millis()),
                expected.map(u128::from),
                "{text}"
            );
        }
        check("10s", Some(10_000));
        check("1m30s", Some(90_000));
        check("500ms", Some(500));
        check("10", None);
        check("0s", None);
        check("-1s", None);
        check("", None);
        assert_eq!(time("0s"), Ok(Duration::ZERO));
    }

    #[test]
    fn targets_are_paths_with_queries() {
        fn check(text: &str, expected: Option<&str>) {
            let parsed = target(text).ok().map(|target| target.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text}");
        }
        check("/", Some("/"));
        check("", Some("/"));
        check("?n=100", Some("/?n=100"));
        check("a/b?c=d%20e", Some("/a/b?c=d%20e"));
        check("/a b", None);
        check("/a#b", None);
        check("/a\r\nX: y", None);
    }

    #[test]
    fn bodies_are_texts_files_or_standard_input() {
        fn check(text: &str, expected: Option<&Payload>) {
            assert_eq!(payload(text).ok().as_ref(), expected, "{text}");
        }
        check("", Some(&Payload::Text(String::new())));
        check("a@b", Some(&Payload::Text("a@b".to_owned())));
        check("@a.json", Some(&Payload::File(PathBuf::from("a.json"))));
        check("@-", Some(&Payload::Stdin));
        check("@", None);
    }

    #[test]
    fn headers_have_a_name_and_a_value() {
        fn check(text: &str, expected: Option<(&str, &str)>) {
            let parsed = header(text).ok();
            let parsed = parsed
                .as_ref()
                .map(|(name, value)| (name.as_str(), value.to_str().expect("the test's are text")));
            assert_eq!(parsed, expected, "{text}");
        }
        check("Accept: text/html", Some(("accept", "text/html")));
        check("x:", Some(("x", "")));
        check("Time: 10:30", Some(("time", "10:30")));
        for refused in ["", "Accept", "a b: c", "A: b\r\nC: d", "Content-Length: 3"] {
            check(refused, None);
        }
    }
}
