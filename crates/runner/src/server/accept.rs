//! Accept loop: accepts connections until the server stops, and backs off on errors.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use super::config::ServerConfig;
use super::connection;
use super::connections::Connections;
use super::handler::Handler;

/// The first and the longest pause after a failed `accept`.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// State that all connections share.
pub(super) struct Service<H> {
    pub(super) handler: Arc<H>,
    pub(super) config: Arc<ServerConfig>,
    pub(super) connections: Arc<Connections>,
}

impl<H> Clone for Service<H> {
    fn clone(&self) -> Self {
        Self {
            handler: Arc::clone(&self.handler),
            config: Arc::clone(&self.config),
            connections: Arc::clone(&self.connections),
        }
    }
}

/// Accepts from `listener` until `stop` is true. Also serves connections that the kernel has
/// accepted by then.
pub(super) async fn accept<H: Handler>(
    listener: TcpListener,
    service: Service<H>,
    mut stop: watch::Receiver<bool>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            biased;
            // The sender outlives this task; if it did not, stopping would be right as well.
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = next(&listener, &service.connections) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = FIRST_PAUSE;
                service.spawn(stream, peer);
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                if pause == FIRST_PAUSE {
                    tracing::warn!(%error, "accepting connections failed; trying again");
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    while let Some((stream, peer)) = waiting(&listener).await {
        service.spawn(stream, peer);
    }
}

async fn next(
    listener: &TcpListener,
    connections: &Connections,
) -> io::Result<(TcpStream, SocketAddr)> {
    connections.room().await;
    listener.accept().await
}

/// Returns a connection that the kernel has already accepted.
async fn waiting(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    poll_fn(|context| match listener.poll_accept(context) {
        Poll::Ready(Ok(accepted)) => Poll::Ready(Some(accepted)),
        Poll::Ready(Err(_)) | Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Whether the error concerns one connection, so that the next `accept` may succeed. Other errors,
/// such as a lack of file descriptors, concern the server and last longer.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
    )
}

impl<H: Handler> Service<H> {
    fn spawn(&self, stream: TcpStream, peer: SocketAddr) {
        let service = self.clone();
        let slot = Arc::new(service.connections.enter());
        // With Nagle's algorithm, the last packet of a response would wait for the client's
        // acknowledgement. This call fails only on a closed connection.
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let Service {
                handler, config, ..
            } = service;
            connection::serve(stream, peer, handler, &config, &slot).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::concerns_one_connection;

    #[test]
    fn server_errors_are_distinguished_from_connection_errors() {
        fn check(code: i32, expected: bool) {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(concerns_one_connection(&error), expected, "{error}");
        }
        const ECONNABORTED: i32 = 103;
        const EINTR: i32 = 4;
        const ENETDOWN: i32 = 100;
        const EMFILE: i32 = 24;
        const ENFILE: i32 = 23;
        const ENOMEM: i32 = 12;
        for passing in [ECONNABORTED, EINTR, ENETDOWN] {
            check(passing, true);
        }
        for lasting in [EMFILE, ENFILE, ENOMEM] {
            check(lasting, false);
        }
    }
}
