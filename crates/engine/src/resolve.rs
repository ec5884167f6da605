//! Resolves host names to the addresses that a rule allows.

use std::net::SocketAddr;

use sampan_spec::Permit;

use crate::client::ConnectError;

/// Resolves `host` and returns the addresses that `permit` allows. The caller connects to exactly
/// these, so a name that resolves differently the next time gains nothing.
///
/// # Errors
///
/// [`ConnectError::Resolve`] when the name does not resolve; [`ConnectError::Denied`] when none of
/// its addresses is allowed.
pub(crate) async fn resolve(
    host: &str,
    port: u16,
    permit: &Permit,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let found: Vec<SocketAddr> = tokio::net::lookup_host((bare, port))
        .await
        .map_err(ConnectError::Resolve)?
        .collect();
    let allowed: Vec<SocketAddr> = found
        .iter()
        .copied()
        .filter(|address| permit.allows_address(address.ip()))
        .collect();
    if allowed.is_empty() && !found.is_empty() {
        return Err(ConnectError::Denied);
    }
    Ok(allowed)
}
