//! Canonical spelling of hosts: lower case, punycode, no trailing dot, addresses as addresses.
//!
//! Percent-encoding and other texts that a resolver would read differently are rejected.

use std::net::{IpAddr, Ipv6Addr};

/// A host in its canonical spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// A name: lower case, punycode, no trailing dot.
    Name(String),
    /// An address, as written.
    Address(IpAddr),
}

/// A text that is not a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAHost;

/// The most characters of a name and of a label of it, which DNS sets.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// The most bytes of a text that can become a name: four for each character, and the trailing dot.
const MAX_TEXT: usize = 4 * MAX_NAME + 1;

impl Host {
    /// Parses the host of a request. An IPv6 address may have no brackets.
    pub(super) fn of_request(text: &str) -> Result<Self, NotAHost> {
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self::Address(address.into()));
        }
        Self::parse(text)
    }

    /// Parses the host of a URL, which has an IPv6 address in brackets.
    pub(super) fn parse(text: &str) -> Result<Self, NotAHost> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(NotAHost)?;
            let address = inner.parse::<Ipv6Addr>().map_err(|_| NotAHost)?;
            return Ok(Self::Address(address.into()));
        }
        // The URL standard would decode a percent sign, a resolver would not. Longer texts are
        // rejected early: decoding costs time, and the text may come from a hostile guest.
        if text.contains('%') || text.len() > MAX_TEXT {
            return Err(NotAHost);
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        match url::Host::parse(text).map_err(|_| NotAHost)? {
            url::Host::Domain(name) if is_name(&name) => Ok(Self::Name(name)),
            url::Host::Domain(_) => Err(NotAHost),
            url::Host::Ipv4(address) => Ok(Self::Address(address.into())),
            url::Host::Ipv6(address) => Ok(Self::Address(address.into())),
        }
    }
}

fn is_name(name: &str) -> bool {
    let character = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let label =
        |label: &str| (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(character);
    name.len() <= MAX_NAME && name.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::Host;

    /// Shows addresses in angle brackets, to distinguish them from names.
    fn check(input: &str, expected: Option<&str>) {
        let shown = Host::of_request(input).ok().map(|host| match host {
            Host::Name(name) => name,
            Host::Address(address) => format!("<{address}>"),
        });
        assert_eq!(shown.as_deref(), expected, "{input:?}");
    }

    #[test]
    fn names_have_one_spelling() {
        check("example.com", Some("example.com"));
        check("EXAMPLE.Com", Some("example.com"));
        check("example.com.", Some("example.com"));
        check("my_service", Some("my_service"));
        check("b\u{fc}cher.example", Some("xn--bcher-kva.example"));
        check("B\u{dc}CHER.example", Some("xn--bcher-kva.example"));
        check("xn--bcher-kva.example", Some("xn--bcher-kva.example"));
        check("ex\u{ff41}mple.com", Some("example.com"));
        check("example\u{3002}com", Some("example.com"));
    }

    #[test]
    fn addresses_are_addresses_in_every_spelling() {
        check("127.0.0.1", Some("<127.0.0.1>"));
        check("127.0.0.1.", Some("<127.0.0.1>"));
        check("127.1", Some("<127.0.0.1>"));
        check("0x7f000001", Some("<127.0.0.1>"));
        check("0177.0.0.1", Some("<127.0.0.1>"));
        check("2130706433", Some("<127.0.0.1>"));
        check("\u{ff11}27.0.0.1", Some("<127.0.0.1>"));
        check("::1", Some("<::1>"));
        check("[::1]", Some("<::1>"));
        check("[::ffff:127.0.0.1]", Some("<::ffff:127.0.0.1>"));
    }

    #[test]
    fn ambiguous_texts_are_not_hosts() {
        for text in [
            "",
            ".",
            "..",
            ".com",
            "a..b",
            "example.com..",
            "a b",
            "a/b",
            "a\\b",
            "a@b",
            "a:80",
            "a?b",
            "a#b",
            "ex%61mple.com",
            "%00",
            "\0",
            "a\nb",
            "*",
            "*.example.com",
            "[::1",
            "::1]",
            "[]",
            "[::1%eth0]",
            "fe80::1%1",
            "[127.0.0.1]",
            "256.0.0.1",
            "1.2.3.4.5",
            "example.123",
            "a\u{202e}b",
            "xn--\u{fc}",
            "xn--a-\u{fffd}",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn names_end_where_dns_ends_them() {
        let label = |length: usize| "a".repeat(length);
        check(&label(63), Some(&label(63)));
        check(&label(64), None);
        let name = |last: usize| format!("{0}.{0}.{0}.{1}", label(63), label(last));
        assert_eq!(name(61).len(), 253);
        check(&name(60), Some(&name(60)));
        check(&name(61), Some(&name(61)));
        check(&name(62), None);
        check(&"a.".repeat(1 << 19), None);
    }
}
