//! Set of listeners that changes while it serves: each has its own handler, and all share one
//! configuration, one limit of connections and one drain.
//!
//! A listener is one socket and one task. Adding or removing one touches no other.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch as value};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::accept::{Service, accept};
use super::config::ServerConfig;
use super::connections::{Connections, Group};
use super::handler::Handler;
use super::listen::{BindError, listen, listen_on_all};
use super::watch::Order;

/// Time limit for cut connections to close.
const CUT_TIMEOUT: Duration = Duration::from_secs(5);

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

/// A set of listeners. Clones share it.
#[derive(Clone, Debug)]
pub struct Listeners(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: Arc<ServerConfig>,
    connections: Arc<Connections>,
    /// Becomes true when all listeners stop.
    stop: value::Sender<bool>,
    /// `None` after the drain has begun.
    accepting: Mutex<Option<Accepting>>,
}

/// A channel that carries nothing. Each accept loop holds a sender, and the channel ends with the
/// last of them.
#[derive(Debug)]
struct Accepting {
    sender: mpsc::Sender<Infallible>,
    ended: mpsc::Receiver<Infallible>,
}

/// A listener of a set. Dropping it stops accepting, and drains its connections as
/// [`Listener::close`] does.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    /// Dropped to stop this listener.
    open: value::Sender<()>,
    task: JoinHandle<usize>,
}

impl Listeners {
    /// Makes an empty set. The addresses of the configuration are left to the caller.
    pub fn new(config: ServerConfig) -> Self {
        let (sender, ended) = mpsc::channel(1);
        Self(Arc::new(Shared {
            connections: Connections::new(config.max_connections),
            config: Arc::new(config),
            stop: value::Sender::new(false),
            accepting: Mutex::new(Some(Accepting { sender, ended })),
        }))
    }

    /// Listens on an address and serves its connections with `handler`.
    ///
    /// # Errors
    ///
    /// [`BindError`] when the address is taken or not of this machine.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn add<H: Handler>(
        &self,
        address: SocketAddr,
        handler: Arc<H>,
    ) -> Result<Listener, BindError> {
        let socket = listen(address)?;
        let address = local_address(&socket, address)?;
        Ok(self.serve(socket, address, handler))
    }

    /// Listens on a port of all addresses of this machine, with one socket, and serves its
    /// connections with `handler`.
    ///
    /// # Errors
    ///
    /// [`BindError`] when the port is taken.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn add_port<H: Handler>(&self, port: u16, handler: Arc<H>) -> Result<Listener, BindError> {
        let socket = listen_on_all(port)?;
        let address = local_address(&socket, SocketAddr::from(([0_u8; 16], port)))?;
        Ok(self.serve(socket, address, handler))
    }

    /// Serves the connections of a socket that listens.
    pub(super) fn serve<H: Handler>(
        &self,
        socket: TcpListener,
        address: SocketAddr,
        handler: Arc<H>,
    ) -> Listener {
        let (open, mut closed) = value::channel(());
        let mut all_stop = self.0.stop.subscribe();
        let config = Arc::clone(&self.0.config);
        let group = self.0.connections.group();
        let accepting = self.accepting().as_ref().map(|all| all.sender.clone());
        let task = tokio::spawn(async move {
            let drain = config.drain;
            let service = Arc::new(Service {
                handler,
                config,
                group: Arc::clone(&group),
            });
            let stop = async {
                tokio::select! {
                    // The senders live as long as there is something to accept for.
                    _ = all_stop.wait_for(|stop| *stop) => {}
                    _ = closed.changed() => {}
                }
            };
            accept(socket, &service, stop).await;
            drop((accepting, service));
            if *all_stop.borrow() {
                // The drain of the whole set waits for these connections, and cuts them.
                return 0;
            }
            drained(&group, drain).await
        });
        Listener {
            address,
            open,
            task,
        }
    }

    /// Stops all listeners, waits for the configured time until connections and the work of
    /// `handler` have ended, and cuts the rest. `handler` is one of those of the listeners, and
    /// stands for all of them.
    pub async fn drain<H: Handler>(&self, handler: &H) -> Summary {
        let connections = &self.0.connections;
        let begun = Instant::now();
        connections.order(Order::Drain);
        self.0.stop.send_replace(true);
        self.all_stopped().await;
        let drain = self.0.config.drain;
        let ended = timeout(drain, all_ended(connections, handler)).await;
        let (work_cut, cut) = if ended.is_ok() {
            (0, 0)
        } else {
            // The handler first, so that it can report requests that are then dropped.
            (handler.cut_work(), self.cut())
        };
        let ended = timeout(CUT_TIMEOUT, all_ended(connections, handler)).await;
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

    /// Cuts all connections, open and later ones. Returns the number of open ones.
    pub(super) fn cut(&self) -> usize {
        self.0.connections.order(Order::Cut)
    }

    /// Waits until no listener accepts any more.
    async fn all_stopped(&self) {
        let accepting = self.accepting().take();
        if let Some(Accepting { sender, mut ended }) = accepting {
            drop(sender);
            // Nothing is ever sent.
            let _ = ended.recv().await;
        }
    }

    fn accepting(&self) -> MutexGuard<'_, Option<Accepting>> {
        // No code panics between lock and unlock.
        self.0
            .accepting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    /// The address, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets requests in progress finish within the configured time of the drain,
    /// and cuts the rest. Idle connections close at once, and others after their current response.
    /// Returns the number of connections that were cut.
    pub async fn close(self) -> usize {
        drop(self.open);
        // The task neither panics nor is it aborted, unless the runtime ends.
        self.task.await.unwrap_or(0)
    }
}

/// Drains the connections of a listener that has stopped. Returns the number of those that were
/// cut.
async fn drained(group: &Group, drain: Duration) -> usize {
    group.order(Order::Drain);
    if timeout(drain, group.all_closed()).await.is_ok() {
        return 0;
    }
    let cut = group.order(Order::Cut);
    if timeout(CUT_TIMEOUT, group.all_closed()).await.is_err() {
        tracing::warn!("cut connections of a listener have not ended");
    }
    cut
}

/// Waits for the end of all connections, and then for the work that their requests have begun.
async fn all_ended<H: Handler>(connections: &Connections, handler: &H) {
    connections.all_closed().await;
    handler.work_ended().await;
}

/// The address of a socket, with the port that the system chose for `wanted`.
pub(super) fn local_address(
    socket: &TcpListener,
    wanted: SocketAddr,
) -> Result<SocketAddr, BindError> {
    socket.local_addr().map_err(|source| BindError {
        address: wanted,
        source,
    })
}
