//! Opens the listening sockets.

use std::io;
use std::net::SocketAddr;

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
    open(address).map_err(|source| BindError { address, source })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for connections of the previous process to time out.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
