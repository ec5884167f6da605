//! An HTTP/1.1 server for a router, with limits on each client and a graceful stop.
//!
//! `axum::serve` sets no timeout for a request's head and no limit of connections, so hyper serves
//! the connections here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// The timeout of a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The most open connections; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;

/// How long requests in progress may take after a stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The delay after a failed `accept`: its usual cause, too many open files, does not pass at once.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// The address that a server listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// The address; port 0 is any free one.
    pub address: SocketAddr,
    /// Whether to listen on any free port if that one is taken.
    pub or_anywhere: bool,
}

impl From<SocketAddr> for Listen {
    /// The address without an alternative.
    fn from(address: SocketAddr) -> Listen {
        Listen {
            address,
            or_anywhere: false,
        }
    }
}

impl Listen {
    async fn bind(self) -> io::Result<TcpListener> {
        match TcpListener::bind(self.address).await {
            Err(error) if self.or_anywhere && error.kind() == io::ErrorKind::AddrInUse => {
                TcpListener::bind((self.address.ip(), 0)).await
            }
            bound => bound,
        }
    }
}

/// Why a server does not listen.
#[derive(Debug, Error)]
#[error("failed to listen on {address} for the {service}")]
pub struct BindError {
    /// The name of the service.
    pub service: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// The cause.
    pub source: io::Error,
}

/// A server that runs until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(
        service: &'static str,
        listen: Listen,
        router: Router,
    ) -> Result<Server, BindError> {
        let failed = |source| BindError {
            service,
            address: listen.address,
            source,
        };
        let listener = listen.bind().await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(listener, router, stopped));
        Ok(Server {
            address,
            stop,
            task,
        })
    }

    /// The address on which it listens, with the port that the kernel chose for port 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, and waits for the requests in progress.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        // An error means that the task panicked; there is nothing left to stop then.
        let _stopped = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, router: Router, stopped: watch::Receiver<bool>) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut until = stopped.clone();
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            biased;
            _ = until.wait_for(|stop| *stop) => break,
            // Drops the result of a connection that has ended.
            Some(_) = connections.join_next() => continue,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let serving = connection(stream, router.clone(), stopped.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(permit);
                });
            }
            Err(_passing) => sleep(ACCEPT_RETRY_DELAY).await,
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    // Dropping the set ends the tasks of requests that take longer.
    let _in_time = timeout(STOP_TIMEOUT, all).await;
}

async fn connection(stream: TcpStream, router: Router, mut stopped: watch::Receiver<bool>) {
    // Answers are written whole, so a delay would be useless. The call fails only on a dead
    // connection.
    let _set = stream.set_nodelay(true);
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut serving = std::pin::pin!(serving);
    // Errors of a connection are its client's, and the client has seen them.
    tokio::select! {
        _ended = &mut serving => return,
        _ = stopped.wait_for(|stop| *stop) => serving.as_mut().graceful_shutdown(),
    }
    let _ended = serving.await;
}
