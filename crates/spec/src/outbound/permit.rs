//! Address policy of matched outbound rules.
//!
//! A name cannot lead to an address that its rule does not permit.

use std::net::IpAddr;

use ipnet::IpNet;

use super::address::{Class, classify, classify_block, unwrapped};

/// The result of the first check: the addresses to which the name may resolve. If several rules
/// match, an address is allowed if any of them allows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    grants: Vec<Grant>,
}

/// The grant of one rule to a matching host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// An exact name. Private networks are allowed, because the rule contains this name.
    Name {
        /// The name is `localhost` or ends in `.localhost`.
        local: bool,
    },
    /// A wildcard. The owner of the domain chooses the names, so only public addresses are allowed.
    Wildcard,
    /// Exactly this address.
    Address(IpAddr),
    /// Addresses of this block.
    Block(IpNet),
}

impl Permit {
    /// Makes a permit from the grants of all matching rules; `None` without grants.
    pub(super) fn new(grants: Vec<Grant>) -> Option<Self> {
        (!grants.is_empty()).then_some(Self { grants })
    }

    /// The second check, on every resolved address: whether a connection to it is allowed.
    pub fn allows_address(&self, ip: IpAddr) -> bool {
        self.grants.iter().any(|grant| grant.allows(ip))
    }
}

/// Whether an explicitly written name may resolve to this address. The internet and private
/// networks are allowed, this machine only if the name is `local`, and this link, where clouds
/// serve credentials, never.
pub fn name_may_resolve_to(ip: IpAddr, local: bool) -> bool {
    Grant::Name { local }.allows(ip)
}

impl Grant {
    fn allows(self, ip: IpAddr) -> bool {
        let ip = unwrapped(ip);
        let class = classify(ip);
        if class == Class::Never {
            return false;
        }
        match self {
            Self::Name { local } => match class {
                Class::Public | Class::Private => true,
                Class::Loopback => local,
                Class::Special | Class::Never => false,
            },
            Self::Wildcard => class == Class::Public,
            Self::Address(address) => ip == unwrapped(address),
            // A block of several classes allows only its public addresses.
            Self::Block(block) => {
                let expected = class == Class::Public || class == classify_block(&block);
                block.contains(&ip) && expected && class != Class::Special
            }
        }
    }
}
