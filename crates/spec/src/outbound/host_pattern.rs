//! The hosts of an outbound rule, and how they are printed.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// The hosts of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This name, in lower case and punycode, without a trailing dot.
    Name(String),
    /// Every name below this one, at any depth; not the name itself.
    Below(String),
    /// This address, if the request has an address as well.
    Address(IpAddr),
    /// Addresses of this block, if the request has an address as well.
    Block(IpNet),
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Below(parent) => write!(f, "*.{parent}"),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Block(IpNet::V4(block)) => write!(f, "{block}"),
            Self::Block(IpNet::V6(block)) => {
                write!(f, "[{}]/{}", block.network(), block.prefix_len())
            }
        }
    }
}
