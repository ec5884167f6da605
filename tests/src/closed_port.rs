//! A loopback address that refuses connections and that no other process can take.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

/// A port of the loopback address that refuses connections while this is held.
#[derive(Debug)]
pub struct ClosedPort {
    address: SocketAddr,
    // Bound, so that the port is taken; not listening, so that connections are refused.
    _socket: OwnedFd,
}

impl ClosedPort {
    /// Takes a port.
    pub fn reserve() -> ClosedPort {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None);
        let socket = socket.expect("a socket can be made");
        let any = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
        bind(&socket, &any).expect("there is a free port");
        let address = getsockname(&socket).expect("a bound socket has an address");
        let address = SocketAddr::try_from(address).expect("it is an IP address");
        ClosedPort {
            address,
            _socket: socket,
        }
    }

    /// The address that refuses connections.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
