//! What a rule grants once a name has matched it: the policy on resolved addresses.
//!
//! Refuses to let a name smuggle in an address that its rule did not spell out.

use std::net::IpAddr;

use ipnet::IpNet;

use super::address::{Class, classify, classify_block, unwrapped};

/// The outcome of the first check: which addresses the name may resolve to. Several rules may have
/// matched; what any one of them allows is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    grants: Vec<Grant>,
}

/// What one rule grants to a host that has matched it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// An exact name. Private networks are fine: somebody wrote down this very name.
    Name {
        /// The name is `localhost` or ends in `.localhost`.
        local: bool,
    },
    /// A wildcard. Whoever owns the domain chooses the names, so only public addresses are fine.
    Wildcard,
    /// This very address.
    Address(IpAddr),
    /// Addresses of this block.
    Block(IpNet),
}

impl Permit {
    /// A permit from the grants of all rules that matched; none without any.
    pub(super) fn new(grants: Vec<Grant>) -> Option<Self> {
        (!grants.is_empty()).then_some(Self { grants })
    }

    /// The second check, on every resolved address: whether a connection to it may be made.
    pub fn allows_address(&self, ip: IpAddr) -> bool {
        self.grants.iter().any(|grant| grant.allows(ip))
    }
}

/// Whether a name that somebody wrote down may lead to this address: to the internet and to private networks,
/// to this machine only if the name is `local`, and never to this link, where clouds answer with credentials.
pub fn name_may_lead_to(ip: IpAddr, local: bool) -> bool {
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
            // A block that holds several kinds of place allows only what is public in it.
            Self::Block(block) => {
                let expected = class == Class::Public || class == classify_block(&block);
                block.contains(&ip) && expected && class != Class::Special
            }
        }
    }
}
