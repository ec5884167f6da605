//! Outbound rules: the services that a function may call.
//!
//! A caller must make both checks of an outbound request. [`OutboundRules::permit`] checks the
//! requested name, and [`Permit::allows_address`] every address to which the name resolves. The
//! second check must use the address of the connection. Requests without a matching rule are
//! denied. This module resolves nothing.

mod address;
mod error;
mod host;
mod host_pattern;
mod permit;
mod rule;

use std::fmt;
use std::str::FromStr;

pub use error::RuleError;
pub use host_pattern::HostPattern;
pub use permit::{Permit, name_may_resolve_to};
pub use rule::Rule;

use host::Host;

/// The scheme of an outbound request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Unencrypted.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The scheme in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The default port.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A scheme other than http and https.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("only http and https can be called")]
pub struct UnknownScheme;

impl FromStr for Scheme {
    type Err = UnknownScheme;

    fn from_str(text: &str) -> Result<Self, UnknownScheme> {
        [Self::Http, Self::Https]
            .into_iter()
            .find(|scheme| text.eq_ignore_ascii_case(scheme.as_str()))
            .ok_or(UnknownScheme)
    }
}

/// The rules of one function. The default, no rule, allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboundRules(Vec<Rule>);

impl OutboundRules {
    /// Whether there are no rules, so that nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rules in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Rule> {
        self.0.iter()
    }

    /// The first check, on the name: `Some` if a rule has this scheme, host and port. `host` is a
    /// name or an address, the latter with or without brackets; `port` is the effective one.
    pub fn permit(&self, scheme: Scheme, host: &str, port: u16) -> Option<Permit> {
        if self.is_empty() {
            return None;
        }
        // No rule can match a text that is not a host.
        let host = Host::of_request(host).ok()?;
        Permit::new(
            self.iter()
                .filter_map(|rule| rule.grant(scheme, &host, port))
                .collect(),
        )
    }
}

impl FromIterator<Rule> for OutboundRules {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        Self(rules.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a OutboundRules {
    type Item = &'a Rule;
    type IntoIter = std::slice::Iter<'a, Rule>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
