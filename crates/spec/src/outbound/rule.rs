//! Parses, prints and matches one outbound rule, such as `https://*.example.com`.
//!
//! Parts that a rule cannot enforce (paths, queries, credentials) and rules for all hosts are
//! rejected.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::Scheme;
use super::address::{Class, classify, classify_block, unwrapped};
use super::error::RuleError;
use super::host::Host;
use super::host_pattern::HostPattern;
use super::permit::Grant;
use crate::escape::Shown;

/// A rule that allows requests by scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    scheme: Scheme,
    host: HostPattern,
    port: u16,
}

impl Rule {
    /// The allowed scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The allowed hosts.
    pub fn host(&self) -> &HostPattern {
        &self.host
    }

    /// The allowed port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The grant of this rule to a request, if it matches.
    pub(super) fn grant(&self, scheme: Scheme, host: &Host, port: u16) -> Option<Grant> {
        if self.scheme != scheme || self.port != port {
            return None;
        }
        match (&self.host, host) {
            (HostPattern::Name(name), Host::Name(asked)) => (name == asked).then(|| Grant::Name {
                local: is_local(name),
            }),
            (HostPattern::Below(parent), Host::Name(asked)) => {
                is_below(asked, parent).then_some(Grant::Wildcard)
            }
            (HostPattern::Address(address), Host::Address(asked)) => {
                (unwrapped(*address) == unwrapped(*asked)).then_some(Grant::Address(*address))
            }
            (HostPattern::Block(block), Host::Address(asked)) => block
                .contains(&unwrapped(*asked))
                .then_some(Grant::Block(*block)),
            _ => None,
        }
    }
}

/// Whether a name resolves to this machine everywhere.
fn is_local(name: &str) -> bool {
    name == "localhost" || is_below(name, "localhost")
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent)
        .is_some_and(|front| front.len() > 1 && front.ends_with('.'))
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        if text.is_empty() {
            return Err(RuleError::Empty);
        }
        if matches!(text, "*" | "*:*" | "*://*") {
            return Err(RuleError::Everything);
        }
        if text
            .chars()
            .any(|character| character.is_whitespace() || character.is_control())
        {
            return Err(RuleError::Space);
        }
        let (scheme, rest) = text.split_once("://").ok_or(RuleError::NoScheme)?;
        let scheme = scheme.parse().map_err(|_| RuleError::OtherScheme {
            scheme: Shown(scheme).to_string(),
        })?;
        let (host, port) = authority(rest)?;
        let host = match host {
            Written::Host(host) => host_pattern(host)?,
            Written::Block(address, prefix) => block(address, prefix)?,
        };
        Ok(Self {
            scheme,
            host,
            port: port.unwrap_or(scheme.default_port()),
        })
    }
}

/// The host of a rule as written.
enum Written<'a> {
    Host(&'a str),
    Block(&'a str, &'a str),
}

/// Splits `host[:port]` and `address/prefix[:port]`, and explains other texts.
fn authority(rest: &str) -> Result<(Written<'_>, Option<u16>), RuleError> {
    if rest.contains('@') {
        return Err(RuleError::Credentials);
    }
    if rest.contains('#') {
        return Err(RuleError::Fragment);
    }
    if rest.contains('?') {
        return Err(RuleError::Query);
    }
    // Browsers read a backslash as a slash.
    if rest.contains('\\') {
        return Err(RuleError::Path);
    }
    let (written, port) = if let Some((address, after)) = rest.split_once('/') {
        let (prefix, port) = split_port(after);
        let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || !is_address(address) {
            return Err(RuleError::Path);
        }
        (Written::Block(address, prefix), port)
    } else {
        let (host, port) = split_port(rest);
        (Written::Host(host), port)
    };
    let port = port.map(parse_port).transpose()?;
    Ok((written, port))
}

/// Splits at the last colon outside brackets.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains('[') || host.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    }
}

fn parse_port(text: &str) -> Result<u16, RuleError> {
    // `parse` alone would accept a plus sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(RuleError::Port {
            port: Shown(text).to_string(),
        }),
    }
}

/// Whether a text is an address in URL syntax.
fn is_address(text: &str) -> bool {
    text.starts_with('[') || text.parse::<IpAddr>().is_ok()
}

fn host_pattern(text: &str) -> Result<HostPattern, RuleError> {
    let malformed = || RuleError::Host {
        host: Shown(text).to_string(),
    };
    if text.is_empty() {
        return Err(RuleError::NoHost);
    }
    if text == "*" {
        return Err(RuleError::Everything);
    }
    // The rest of an address without brackets, after its last part was parsed as a port.
    if text.contains(':') && !text.starts_with('[') {
        return Err(RuleError::Brackets);
    }
    if let Some(parent) = text.strip_prefix("*.") {
        return match Host::parse(parent) {
            Ok(Host::Name(parent)) if parent.contains('.') => Ok(HostPattern::Below(parent)),
            Ok(Host::Name(parent)) => Err(RuleError::TooWide { parent }),
            Ok(Host::Address(_)) | Err(_) => Err(malformed()),
        };
    }
    if text.contains('*') {
        return Err(RuleError::Star);
    }
    match Host::parse(text).map_err(|_| malformed())? {
        Host::Name(name) => Ok(HostPattern::Name(name)),
        Host::Address(address) => {
            // 127.1, 0x7f000001 and 2130706433 are all 127.0.0.1, which should be visible to a
            // reader.
            let canonical = match address {
                IpAddr::V4(address) => address.to_string() == text,
                IpAddr::V6(_) => true,
            };
            if !canonical {
                return Err(RuleError::Spelling { address });
            }
            if classify(unwrapped(address)) == Class::Never {
                return Err(RuleError::Unreachable);
            }
            Ok(HostPattern::Address(address))
        }
    }
}

fn block(address: &str, prefix: &str) -> Result<HostPattern, RuleError> {
    let malformed = || RuleError::Host {
        host: Shown(address).to_string(),
    };
    let address = match Host::parse(address).map_err(|_| malformed())? {
        Host::Address(address) => address,
        Host::Name(_) => return Err(malformed()),
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let block = prefix
        .parse()
        .ok()
        .and_then(|prefix| IpNet::new(address, prefix).ok())
        .ok_or_else(|| RuleError::Prefix {
            prefix: Shown(prefix).to_string(),
            most,
        })?;
    if block.prefix_len() == 0 {
        return Err(RuleError::Everything);
    }
    if block.addr() != block.network() {
        return Err(RuleError::HostBits {
            block: block.trunc(),
        });
    }
    if unwrapped(address) != address {
        return Err(RuleError::WrappedBlock);
    }
    match classify_block(&block) {
        Class::Special | Class::Never => Err(RuleError::SpecialBlock),
        Class::Public | Class::Private | Class::Loopback => Ok(HostPattern::Block(block)),
    }
}

/// The shortest form of the rule, which parses to the same rule.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        write!(f, "{scheme}://{host}")?;
        if *port == scheme.default_port() {
            Ok(())
        } else {
            write!(f, ":{port}")
        }
    }
}
