//! Serves a function's metrics and health at the pod's port that an annotation names. Without the annotation there is
//! no listener.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::num::NonZeroU16;

use sampan_telemetry::{Health, Registry, admin};

use super::addresses::{any4, any6, lacks_ipv6};
use crate::child::error::ChildError;

/// Serves metrics and health until the process ends, inside of a runtime.
pub(super) fn serve(
    port: NonZeroU16,
    registry: Registry,
    health: Health,
) -> Result<(), ChildError> {
    let doing = || ChildError::system(format!("listening at port {port} for metrics"));
    let listener = listen(port).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => ChildError::MetricsPort(port),
        _ => doing()(error),
    })?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(doing())?;
    tokio::spawn(admin::serve(
        listener,
        registry,
        health,
        std::future::pending(),
    ));
    Ok(())
}

/// Listens with both versions of the protocol, or with IPv4 where there is no IPv6.
fn listen(port: NonZeroU16) -> std::io::Result<TcpListener> {
    let listener = match TcpListener::bind(any6(port.get())) {
        Err(error) if lacks_ipv6(&error) => TcpListener::bind(any4(port.get()))?,
        bound => bound?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}
