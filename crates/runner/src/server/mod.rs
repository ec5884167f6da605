//! HTTP server: listens, accepts connections, passes requests to a [`Handler`] and drains.
//!
//! It limits what a client may do to a connection (see [`ServerConfig`]) and contains no function
//! logic. HTTP/1.1 and HTTP/2 with prior knowledge share each port.
//!
//! In the order of a request:
//!
//! - `config.rs`, `listen.rs` and `accept.rs`: from the addresses to a connection; `connections.rs` limits their number.
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
mod normalize;
mod outgoing_body;
mod request_body;
pub(crate) mod scheduler_load;
mod socket;
mod stream;
mod watch;
mod watchdog;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::watch as value;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::accept::{Service, accept};
use self::connections::Connections;
use self::watch::Order;

pub use self::check::Malformed;
pub(crate) use self::config::FIELD_OVERHEAD;
pub use self::config::{MAX_URI_BYTES, MINIMUM_PROGRESS, ServerConfig};
pub use self::handler::Handler;
pub use self::listen::BindError;
pub use self::request_body::{BodyFault, RequestBody};
pub use self::scheduler_load::on_thread_park;

/// Time limit for cut connections to close.
const CUT_TIMEOUT: Duration = Duration::from_secs(5);

/// A listening server that does not accept yet: the kernel queues new connections.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

/// Statistics of a stopped server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Connections that were accepted.
    pub connections: u64,
    /// Connections that did not finish in time and were cut.
    pub cut: usize,
    /// Requests that were still working after their responses at the end of the drain, and were cut.
    pub work_cut: usize,
    /// The duration of the drain.
    pub drained_in: Duration,
}

impl Server {
    /// Listens on all configured addresses.
    pub fn bind(config: ServerConfig) -> Result<Self, BindError> {
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for address in &config.listen {
            let listener = listen::listen(*address)?;
            let actual: io::Result<SocketAddr> = listener.local_addr();
            addresses.push(actual.map_err(|source| BindError {
                address: *address,
                source,
            })?);
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
            config, listeners, ..
        } = self;
        let drain = config.drain;
        let connections = Connections::new(config.max_connections);
        let _cut = CutOnDrop {
            handler: Arc::clone(&handler),
            connections: Arc::clone(&connections),
        };
        let service = Service {
            handler: Arc::clone(&handler),
            config: Arc::new(config),
            connections: Arc::clone(&connections),
        };
        let (stop, stopped) = value::channel(false);
        let mut accepting = JoinSet::new();
        for listener in listeners {
            accepting.spawn(accept(listener, service.clone(), stopped.clone()));
        }
        drop(service);
        shutdown.await;
        let begun = Instant::now();
        connections.order(Order::Drain);
        // The receivers live in the tasks that the next line awaits.
        let _ = stop.send(true);
        while accepting.join_next().await.is_some() {}
        let ended = timeout(drain, all_ended(&connections, &*handler)).await;
        let (work_cut, cut) = if ended.is_ok() {
            (0, 0)
        } else {
            // The handler first, so that it can report requests that are then dropped.
            (handler.cut_work(), connections.order(Order::Cut))
        };
        let ended = timeout(CUT_TIMEOUT, all_ended(&connections, &*handler)).await;
        if ended.is_err() {
            tracing::warn!("cut connections or requests have not ended");
        }
        Summary {
            connections: connections.opened(),
            cut,
            work_cut,
            drained_in: begun.elapsed(),
        }
    }
}

/// Waits for the end of all connections, and then for the work that their requests have begun.
async fn all_ended<H: Handler>(connections: &Connections, handler: &H) {
    connections.all_closed().await;
    handler.work_ended().await;
}

struct CutOnDrop<H: Handler> {
    handler: Arc<H>,
    connections: Arc<Connections>,
}

impl<H: Handler> Drop for CutOnDrop<H> {
    fn drop(&mut self) {
        self.handler.cut_work();
        self.connections.order(Order::Cut);
    }
}
