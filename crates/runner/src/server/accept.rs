//! Accept loop of one listener: accepts connections until it stops, and backs off on errors.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::config::ServerConfig;
use super::connection::{self, canonical};
use super::connections::{ConnectionSlot, Group};
use super::handler::Handler;

/// The first and the longest pause after a failed `accept`.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// State that all connections of a listener share.
pub(super) struct Service<H> {
    pub(super) handler: Arc<H>,
    pub(super) config: Arc<ServerConfig>,
    pub(super) group: Arc<Group>,
}

/// Accepts from `listener` until `stop` is ready. Also serves connections that the kernel has
/// accepted by then.
pub(super) async fn accept<H: Handler>(
    listener: TcpListener,
    service: &Arc<Service<H>>,
    stop: impl Future<Output = ()>,
) {
    let mut pause = FIRST_PAUSE;
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = FIRST_PAUSE;
                // A client that waits for room has its connection already, so stopping serves it.
                let slot = tokio::select! {
                    biased;
                    slot = service.group.enter() => slot,
                    () = &mut stop => {
                        service.spawn(stream, peer, service.group.enter_beyond_limit());
                        break;
                    }
                };
                service.spawn(stream, peer, slot);
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                if pause == FIRST_PAUSE {
                    tracing::warn!(%error, "accepting connections failed; trying again");
                }
                tokio::select! {
                    () = &mut stop => break,
                    () = sleep(pause) => {}
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
    while let Some((stream, peer)) = waiting(&listener).await {
        service.spawn(stream, peer, service.group.enter_beyond_limit());
    }
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
    fn spawn(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, slot: ConnectionSlot) {
        let service = Arc::clone(self);
        let slot = Arc::new(slot);
        // With Nagle's algorithm, the last packet of a response would wait for the client's
        // acknowledgement. This call fails only on a closed connection.
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let handler = Arc::clone(&service.handler);
            connection::serve(stream, canonical(peer), handler, &service.config, &slot).await;
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
