//! Serves functions until a signal to stop.
//!
//! The functions here are not generic. So the path of a request through server, dispatcher and
//! hyper is compiled once and as one unit, in this crate, and not in parts in every program that
//! serves.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sampan_engine::Guests;

use crate::dispatch::Dispatch;
use crate::observability::metrics::Metrics;
use crate::routing::routes::{RouteTable, Routes};
use crate::server::{BindError, Listener, Listeners, Server, ServerConfig, Summary};

/// Ready when a server has to stop.
pub type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves until `shutdown` is ready, as [`Server::run`] does.
pub async fn serve(server: Server, dispatch: Arc<Dispatch>, shutdown: Shutdown) -> Summary {
    server.run(dispatch, shutdown).await
}

/// Ports that are added and removed while they serve, each with routes of its own. Clones share
/// them.
#[derive(Clone, Debug)]
pub struct Ports {
    listeners: Listeners,
    metrics: Metrics,
    guests: Guests,
}

impl Ports {
    /// Makes an empty set. `guests` are those of the engine that runs the functions.
    pub fn new(config: ServerConfig, metrics: Metrics, guests: Guests) -> Self {
        Self {
            listeners: Listeners::new(config),
            metrics,
            guests,
        }
    }

    /// Serves `routes` on a port of all addresses, as [`Listeners::add_port`] does.
    ///
    /// # Errors
    ///
    /// [`BindError`] when the port is taken.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn add(&self, port: u16, routes: RouteTable) -> Result<Listener, BindError> {
        self.listeners.add_port(port, self.dispatch(routes))
    }

    /// Drains all ports and the guests that go on after their answers, as [`Listeners::drain`]
    /// does.
    pub async fn drain(&self) -> Summary {
        let any = self.dispatch(RouteTable::new(Routes::named([])));
        self.listeners.drain(&*any).await
    }

    fn dispatch(&self, routes: RouteTable) -> Arc<Dispatch> {
        Dispatch::new(routes, self.metrics.clone(), self.guests.clone())
    }
}
