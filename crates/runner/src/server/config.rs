//! Server configuration: limits of a connection, with defaults.
//!
//! Limits of one function are in `sampan_spec::Limits`; the dispatcher enforces them.

use std::net::SocketAddr;
use std::time::Duration;

/// Addresses and connection limits.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The addresses; port 0 lets the system choose one.
    pub listen: Vec<SocketAddr>,
    /// The most open connections. At the limit, idle ones are closed to make room, and further ones
    /// wait in the kernel's queue.
    pub max_connections: usize,
    /// Time limit for a request's head. It starts with the connection for the first request, with
    /// the first byte for later ones, and with the first frame on HTTP/2.
    pub header_timeout: Duration,
    /// The longest time in which a request's body may bring less than [`MINIMUM_PROGRESS`] bytes
    /// while it is read.
    pub body_timeout: Duration,
    /// The longest time in which a client may take less than [`MINIMUM_PROGRESS`] bytes of a
    /// waiting response.
    pub write_timeout: Duration,
    /// The longest time without a request. The connection closes at most a quarter later, because a
    /// timer exact to the second would cost every request.
    pub idle_timeout: Duration,
    /// Time limit for requests in progress after the server was stopped.
    pub drain: Duration,
    /// The most concurrent requests of an HTTP/2 connection.
    pub max_streams: u32,
}

/// The minimum progress of a slow client within a timeout, in bytes. Fewer bytes count as none, so
/// that a client cannot hold a connection with occasional bytes.
pub const MINIMUM_PROGRESS: u64 = 1024;

/// The longest target of a request, in bytes; a longer one gets 414.
pub const MAX_URI_BYTES: usize = 16 * 1024;

/// Bytes that each field of a head counts in addition to its name and its value: what HTTP/2 counts for its
/// place in memory (RFC 9113, section 6.5.2). It bounds the number of fields by their size.
pub(crate) const FIELD_OVERHEAD: usize = 32;

/// The most fields of a head, of any size. A map of fields holds 24,576, and the server adds
/// a few.
pub(crate) const MAX_FIELDS: usize = 24_000;

impl ServerConfig {
    /// Makes a configuration with these addresses and all defaults.
    ///
    /// The timeouts add up so that an idle client is disconnected within ten seconds.
    pub fn new(listen: Vec<SocketAddr>) -> Self {
        Self {
            listen,
            max_connections: 10_000,
            header_timeout: Duration::from_secs(8),
            body_timeout: Duration::from_secs(8),
            write_timeout: Duration::from_secs(8),
            idle_timeout: Duration::from_secs(75),
            drain: Duration::from_secs(30),
            max_streams: 200,
        }
    }
}
