//! The values of arguments that are more than a text: addresses, folders, variables, times.
//!
//! Refuses anything half understood; clap shows what these functions say as a mistake of usage.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use sampan_artifact::Reference;
use sampan_spec::{ByteSize, Timespan};

/// A folder of this machine that a command sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    /// Where it is.
    pub(crate) host: PathBuf,
    /// How the command calls it.
    pub(crate) guest: String,
    /// Whether the command may change it.
    pub(crate) writable: bool,
}

/// `ADDRESS:PORT`, `localhost:PORT` or only `PORT`, the latter two on the loopback interface.
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

/// `NAME=VALUE`.
pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// `HOST`, `HOST::GUEST`, either with `:ro` behind.
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

/// A function in a registry.
pub(crate) fn reference(text: &str) -> Result<Reference, String> {
    text.parse()
        .map_err(|error: sampan_artifact::ReferenceError| error.to_string())
}

/// A number of bytes such as `10Mi`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let size: ByteSize = text
        .parse()
        .map_err(|error: sampan_spec::QuantityError| error.to_string())?;
    Ok(size.bytes())
}

/// A time such as `10s`, `1m30s` or `500ms`.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let timespan: Timespan = text.parse().map_err(|error| {
        format!("it is not a time ({error}); write a number and a unit such as 500ms, 10s or 1m30s")
    })?;
    Ok(timespan.0)
}

/// A time that is not zero.
pub(crate) fn positive_time(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Duration::ZERO => Err("it must be more than zero".to_owned()),
        time => Ok(time),
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
    fn folders_say_where_how_and_whether_writable() {
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
}
