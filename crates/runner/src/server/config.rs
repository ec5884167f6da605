//! What the server allows a connection, with the defaults.
//!
//! What one function allows is not here: that is in `sampan_spec::Limits` and kept by the dispatcher.

use std::net::SocketAddr;
use std::time::Duration;

/// Where to listen and what a connection may take.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The addresses; port 0 lets the system choose one.
    pub listen: Vec<SocketAddr>,
    /// How many connections may be open. When they are, idle ones are closed to make room, and more
    /// wait in the kernel's queue.
    pub max_connections: usize,
    /// How long a request's head may take: from the connection's first moment for the first request,
    /// from its own first byte for later ones, from its first frame on HTTP/2.
    pub header_timeout: Duration,
    /// How long a request's body may bring less than [`MINIMUM_PROGRESS`] bytes while it is waited for.
    pub body_timeout: Duration,
    /// How long a client may take less than [`MINIMUM_PROGRESS`] bytes of an answer that waits for it.
    pub write_timeout: Duration,
    /// How long a connection may have no request. It is closed at most a quarter later than that,
    /// because a timer exact to the second would cost every request.
    pub idle_timeout: Duration,
    /// How long requests in progress may take to finish after the server was told to stop.
    pub drain: Duration,
    /// How many requests an HTTP/2 connection may have in progress.
    pub max_streams: u32,
}

/// What counts as progress of a slow client. Fewer bytes within a timeout are treated as none, so
/// that a client cannot hold a connection with a byte now and then.
pub const MINIMUM_PROGRESS: u64 = 1024;

/// The most bytes of a request's target; more is answered with 414.
pub const MAX_URI_BYTES: usize = 16 * 1024;

impl ServerConfig {
    /// A server on these addresses with the default of everything.
    ///
    /// The timeouts add up so that a client which does nothing is gone within ten seconds.
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
