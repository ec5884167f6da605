//! Serves functions until a signal to stop.
//!
//! The function here is not generic. So the path of a request through server, dispatcher and hyper
//! is compiled once and as one unit, in this crate, and not in parts in every program that serves.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::dispatch::Dispatch;
use crate::server::{Server, Summary};

/// Ready when a server has to stop.
pub type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves until `shutdown` is ready, as [`Server::run`] does.
pub async fn serve(server: Server, dispatch: Arc<Dispatch>, shutdown: Shutdown) -> Summary {
    server.run(dispatch, shutdown).await
}
