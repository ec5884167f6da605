//! Opens the listening sockets.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that the kernel queues while the server is busy; capped at `somaxconn`.
const BACKLOG: i32 = 4096;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// The error of the operating system.
    pub source: io::Error,
}

impl BindError {
    /// Advice for known errors.
    pub fn help(&self) -> Option<String> {
        let port = self.address.port();
        match self.source.kind() {
            io::ErrorKind::AddrInUse => Some(format!(
                "another program listens on port {port}: end it, or choose another port"
            )),
            io::ErrorKind::PermissionDenied => Some(format!(
                "port {port} needs privileges: choose one from 1024 on"
            )),
            io::ErrorKind::AddrNotAvailable => Some(format!(
                "no interface of this machine has the address {}",
                self.address.ip()
            )),
            _ => None,
        }
    }
}

/// Listens on an address. IPv6 sockets accept IPv6 only, so that `0.0.0.0` and `[::]` can be
/// combined.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, BindError> {
    open(address, true).map_err(|source| BindError { address, source })
}

/// Listens on a port of all addresses with one socket: for both versions of the protocol, or for
/// IPv4 where there is no IPv6.
pub(super) fn listen_on_all(port: u16) -> Result<TcpListener, BindError> {
    let all = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match open(all, false) {
        Err(source) if lacks_ipv6(&source) => {
            listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        }
        opened => opened.map_err(|source| BindError {
            address: all,
            source,
        }),
    }
}

/// Whether listening failed because the network has no IPv6.
fn lacks_ipv6(error: &io::Error) -> bool {
    /// Linux' code of an address family that the kernel does not have.
    const EAFNOSUPPORT: i32 = 97;
    error.raw_os_error() == Some(EAFNOSUPPORT) || error.kind() == io::ErrorKind::AddrNotAvailable
}

fn open(address: SocketAddr, only_v6: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    // A restart must not wait for connections of the previous process to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
