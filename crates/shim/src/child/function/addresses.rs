//! Addresses that a function's process listens at: with both versions of the protocol, or with IPv4 where there is no
//! IPv6.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Every address of IPv6.
pub(super) fn any6(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))
}

/// Every address of IPv4.
pub(super) fn any4(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
}

/// Whether listening failed because the network has no IPv6.
pub(super) fn lacks_ipv6(error: &std::io::Error) -> bool {
    let code = error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error);
    matches!(
        code,
        Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL)
    )
}
