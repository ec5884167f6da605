//! HTTP server: listens, accepts connections, passes requests to a [`Handler`] and drains.
//!
//! It limits what a client may do to a connection (see [`ServerConfig`]) and contains no function
//! logic. HTTP/1.1 and HTTP/2 with prior knowledge share each port.
//!
//! In the order of a request:
//!
//! - `config.rs`, `listen.rs` and `accept.rs`: from the addresses to a connection; `connections.rs` limits their number.
//!   `listeners.rs` is the set of listeners, which may change while it serves.
//! - `connection.rs`: one connection. `driver.rs` polls it together with its `watchdog.rs`, and `watch.rs` is the state
//!   that they share with its requests.
//! - `socket.rs`: the bytes of a connection. `frames.rs` reads the heads of HTTP/2 frames, and `half_close.rs` handles
//!   clients that close their sending side.
//! - `check.rs` and `normalize.rs`: the head of a request. `request_body.rs` is its body.
//! - `handler.rs`: the interface to the code that responds.
//! - `outgoing_body.rs`: the body of the response. `stream.rs` limits its time on HTTP/2, and `scheduler_load.rs`
//!   decides when it leaves.
//! - `alarm.rs`: the timer of the files above.

mod accept;
mod alarm;
mod check;
mod config;
mod connection;
mod connections;
mod driver;
mod frames;
mod half_close;
mod handler;
mod listen;
mod listeners;
mod normalize;
mod outgoing_body;
mod request_body;
pub(crate) mod scheduler_load;
mod socket;
mod stream;
mod watch;
mod watchdog;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use self::listeners::local_address;

pub use self::check::Malformed;
pub(crate) use self::config::FIELD_OVERHEAD;
pub use self::config::{MAX_URI_BYTES, MINIMUM_PROGRESS, ServerConfig};
pub use self::handler::Handler;
pub use self::listen::BindError;
pub use self::listeners::{Listener, Listeners, Summary};
pub use self::request_body::{BodyFault, RequestBody};
pub use self::scheduler_load::on_thread_park;

/// A listening server that does not accept yet: the kernel queues new connections.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

impl Server {
    /// Listens on all configured addresses.
    pub fn bind(config: ServerConfig) -> Result<Self, BindError> {
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for address in &config.listen {
            let listener = listen::listen(*address)?;
            addresses.push(local_address(&listener, *address)?);
            listeners.push(listener);
        }
        Ok(Self {
            config,
            listeners,
            addresses,
        })
    }

    /// The addresses in the configured order, with the ports that the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves until `shutdown` is ready. It then accepts no more connections, waits for the
    /// configured time until connections and the handler's work have ended, and cuts the rest.
    /// Dropping the future cuts everything.
    pub async fn run<H: Handler>(
        self,
        handler: Arc<H>,
        shutdown: impl Future<Output = ()>,
    ) -> Summary {
        let Self {
            config,
            listeners,
            addresses,
        } = self;
        let all = Listeners::new(config);
        let _cut = CutOnDrop {
            handler: Arc::clone(&handler),
            listeners: all.clone(),
        };
        let accepting: Vec<Listener> = listeners
            .into_iter()
            .zip(addresses)
            .map(|(socket, address)| all.serve(socket, address, Arc::clone(&handler)))
            .collect();
        shutdown.await;
        let summary = all.drain(&*handler).await;
        drop(accepting);
        summary
    }
}

struct CutOnDrop<H: Handler> {
    handler: Arc<H>,
    listeners: Listeners,
}

impl<H: Handler> Drop for CutOnDrop<H> {
    fn drop(&mut self) {
        self.handler.cut_work();
        self.listeners.cut();
    }
}
