//! Errors of parsing an outbound rule, with advice.
//!
//! They do not repeat the rule: the caller has it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::host_pattern::HostPattern;

/// Reasons why a text is not a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// There is no text.
    #[error("the rule is empty")]
    Empty,
    /// A rule for all hosts.
    #[error("a rule can't allow every host")]
    Everything,
    /// White space or a control character.
    #[error("a rule has no spaces")]
    Space,
    /// A missing `http://` or `https://`.
    #[error("the rule doesn't start with http:// or https://")]
    NoScheme,
    /// Another scheme.
    #[error("the scheme {scheme} isn't known")]
    OtherScheme {
        /// The scheme, safe to print.
        scheme: String,
    },
    /// A user's name or password.
    #[error("a rule has no user name or password")]
    Credentials,
    /// A path.
    #[error("a rule has no path: it allows a host and port, and every path there")]
    Path,
    /// A query.
    #[error("a rule has no query: it allows a host and port, and everything there")]
    Query,
    /// A fragment.
    #[error("a rule has no fragment (#)")]
    Fragment,
    /// An empty host.
    #[error("the host is missing")]
    NoHost,
    /// A malformed host.
    #[error("\"{host}\" is not a host")]
    Host {
        /// The text, safe to print.
        host: String,
    },
    /// A malformed port.
    #[error("\"{port}\" is not a port")]
    Port {
        /// The text, safe to print.
        port: String,
    },
    /// An IPv6 address without brackets, or two ports.
    #[error("the host has a colon")]
    Brackets,
    /// A star elsewhere than in front.
    #[error("a star can only stand for the first labels of a name")]
    Star,
    /// A star directly below a top-level name.
    #[error("*.{parent} is too wide")]
    TooWide {
        /// The top-level name.
        parent: String,
    },
    /// An address in an unusual spelling that hides it.
    #[error("this is the address {address} in another spelling")]
    Spelling {
        /// The address.
        address: IpAddr,
    },
    /// Multicast, broadcast or unspecified.
    #[error("no connection can be made to this address")]
    Unreachable,
    /// A prefix length that this kind of address does not have.
    #[error("/{prefix} is not a length of a prefix")]
    Prefix {
        /// The text, safe to print.
        prefix: String,
        /// The longest prefix.
        most: u8,
    },
    /// A block with address bits beyond its prefix.
    #[error("the address has bits beyond its prefix")]
    HostBits {
        /// The block without these bits.
        block: IpNet,
    },
    /// A block of IPv4 addresses inside IPv6 ones.
    #[error("the block is one of IPv4 addresses in another spelling")]
    WrappedBlock,
    /// A block of addresses that must be named one by one.
    #[error("addresses of this block are allowed one by one only")]
    SpecialBlock,
}

impl RuleError {
    /// Advice, in one line.
    pub fn help(&self) -> String {
        match self {
            Self::Empty | Self::NoHost | Self::Host { .. } | Self::NoScheme | Self::Space => {
                "write http://HOST or https://HOST, with :PORT if it isn't 80 or 443".to_owned()
            }
            Self::Everything => "name the hosts that the function calls: http://store:3000, \
                                 https://*.example.com, http://10.0.0.0/8:3000"
                .to_owned(),
            Self::OtherScheme { .. } => "a function can call http:// and https://".to_owned(),
            Self::Credentials => {
                "the function sends its credentials itself; remove everything before the @"
                    .to_owned()
            }
            Self::Path | Self::Query | Self::Fragment => {
                "remove everything after the host and port".to_owned()
            }
            Self::Port { .. } => "a port is a number from 1 to 65535".to_owned(),
            Self::Brackets => "write an IPv6 address in brackets: http://[::1]:8080".to_owned(),
            Self::Star => "write *.example.com for every name below example.com".to_owned(),
            Self::TooWide { parent } => {
                format!("name at least two labels, such as *.example.{parent}")
            }
            Self::Spelling { address } => format!("write {address}"),
            Self::Unreachable => {
                "multicast, broadcast and unspecified addresses can't be called".to_owned()
            }
            Self::Prefix { most, .. } => format!("write a number from 1 to {most}"),
            Self::HostBits { block } => format!("write {}", HostPattern::Block(*block)),
            Self::WrappedBlock => "write it as a block of IPv4 addresses".to_owned(),
            Self::SpecialBlock => {
                "write the address itself; link-local and reserved blocks have services that must \
                 not be called by accident"
                    .to_owned()
            }
        }
    }
}
