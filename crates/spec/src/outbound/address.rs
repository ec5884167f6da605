//! Classifies addresses: public, private network, this machine, and special ones.
//!
//! An IPv4 address inside an IPv6 one is classified as the IPv4 address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// The class of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// All other addresses.
    Public,
    /// A private network, including a cluster's.
    Private,
    /// This machine.
    Loopback,
    /// This link, where clouds serve credentials, and other special addresses.
    Special,
    /// An address to which no connection can be made.
    Never,
}

use Class::{Loopback, Never, Private, Special};

/// Every network that is not public. The first one that contains an address decides its class.
const NETWORKS: &[(IpAddr, u8, Class)] = &[
    v4([0, 0, 0, 0], 32, Never),
    v4([0, 0, 0, 0], 8, Special),
    v4([10, 0, 0, 0], 8, Private),
    // A cloud's metadata service, with credentials, within a private network.
    v4([100, 100, 100, 200], 32, Special),
    v4([100, 64, 0, 0], 10, Private),
    v4([127, 0, 0, 0], 8, Loopback),
    v4([169, 254, 0, 0], 16, Special),
    v4([172, 16, 0, 0], 12, Private),
    // Protocol assignments, including a metadata service.
    v4([192, 0, 0, 0], 24, Special),
    v4([192, 168, 0, 0], 16, Private),
    v4([224, 0, 0, 0], 4, Never),
    v4([255, 255, 255, 255], 32, Never),
    v4([240, 0, 0, 0], 4, Special),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128, Never),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, Loopback),
    // NAT64 under a network's own prefix, and Teredo: the inner IPv4 address cannot be extracted.
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, Special),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, Special),
    // Discarded by routers.
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, Special),
    // A cloud's metadata service.
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, Special),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Private),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, Special),
    // Site-local, deprecated, still private.
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Private),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Never),
];

const fn v4(octets: [u8; 4], prefix: u8, class: Class) -> (IpAddr, u8, Class) {
    (IpAddr::V4(Ipv4Addr::from_octets(octets)), prefix, class)
}

const fn v6(segments: [u16; 8], prefix: u8, class: Class) -> (IpAddr, u8, Class) {
    (IpAddr::V6(Ipv6Addr::from_segments(segments)), prefix, class)
}

/// The networks of the table with their classes.
fn networks() -> impl Iterator<Item = (IpNet, Class)> {
    NETWORKS
        .iter()
        .map(|(address, prefix, class)| (IpNet::new_assert(*address, *prefix), *class))
}

/// The class of an address, which must be unwrapped before.
pub(super) fn classify(address: IpAddr) -> Class {
    networks()
        .find(|(network, _)| network.contains(&address))
        .map_or(Class::Public, |(_, class)| class)
}

/// The class of a whole block. A block of several classes, such as `8.0.0.0/5`, is public: it
/// allows only its public addresses.
pub(super) fn classify_block(block: &IpNet) -> Class {
    networks()
        .find(|(network, _)| network.contains(block))
        .map_or(Class::Public, |(_, class)| class)
}

/// The IPv4 address that a packet to this IPv6 address finally reaches, if there is one.
pub(super) fn unwrapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        // Unspecified and loopback look like IPv4-compatible addresses.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        // IPv4-compatible and IPv4-translated; IPv4-mapped; NAT64; 6to4.
        [0, 0, 0, 0, 0 | 0xffff, 0, high, low]
        | [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}
