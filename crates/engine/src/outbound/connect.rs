//! Connections to upstreams: from a name to a TCP or TLS session, within one time limit.
//!
//! Several addresses are tried as in RFC 8305 ("Happy Eyeballs"): both families in turn, the next
//! one when the one before has failed or is still pending after a short time.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rustls::pki_types::ServerName;
use sampan_spec::Scheme;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connect_error::ConnectError;
use super::resolve::{Lookups, bare, resolve};
use super::upstream::{Origin, Upstream};

/// The "Connection Attempt Delay" that RFC 8305 recommends in its section 8.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A new connection.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects to an upstream until `by`. Only addresses that the function's rules allow are tried.
pub(super) async fn connect(
    upstream: &Upstream,
    lookups: &Lookups,
    tls: &TlsConnector,
    by: Instant,
) -> Result<Stream, ConnectError> {
    let Origin { scheme, host, port } = &upstream.origin;
    let addresses = timeout_at(by, resolve(host, *port, &upstream.permit, lookups))
        .await
        .map_err(|_| ConnectError::ResolveTimeout)??;
    let tried = || -> Vec<IpAddr> { addresses.iter().map(SocketAddr::ip).collect() };
    let stream = timeout_at(by, race(&addresses, ATTEMPT_DELAY))
        .await
        .map_err(|_| ConnectError::TcpTimeout { addresses: tried() })?
        .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
        .map_err(|source| ConnectError::Tcp {
            addresses: tried(),
            source,
        })?;
    match scheme {
        Scheme::Http => Ok(Stream::Plain(stream)),
        Scheme::Https => {
            let name =
                ServerName::try_from(bare(host).to_owned()).map_err(|_| ConnectError::Name)?;
            let stream = timeout_at(by, tls.connect(name, stream))
                .await
                .map_err(|_| ConnectError::TlsTimeout)?
                .map_err(ConnectError::Tls)?;
            Ok(Stream::Tls(Box::new(stream)))
        }
    }
}

/// Connects to the first of the addresses that answers. The others are dropped.
async fn race(addresses: &[SocketAddr], delay: Duration) -> io::Result<TcpStream> {
    let mut waiting = interleaved(addresses).into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = waiting.next() {
            attempts.push(TcpStream::connect(address));
        }
        let more = waiting.len() > 0;
        tokio::select! {
            biased;
            Some(connected) = attempts.next() => match connected {
                Ok(stream) => return Ok(stream),
                // The next address does not wait for the rest of the delay.
                Err(error) => failed = error,
            },
            () = sleep(delay), if more => {}
            else => return Err(failed),
        }
    }
}

/// The addresses with both families in turn, beginning with that of the first (RFC 8305,
/// section 4).
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else {
        return Vec::new();
    };
    let (same, other): (Vec<SocketAddr>, Vec<SocketAddr>) = addresses
        .iter()
        .partition(|address| address.is_ipv4() == first.is_ipv4());
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let mut all = Vec::with_capacity(addresses.len());
    while all.len() < addresses.len() {
        all.extend(same.next());
        all.extend(other.next());
    }
    all
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn families_take_turns() {
        let check = |given: &[&str], expected: &[&str]| {
            let parse = |text: &&str| text.parse::<SocketAddr>().expect("an address");
            let given: Vec<_> = given.iter().map(parse).collect();
            let expected: Vec<_> = expected.iter().map(parse).collect();
            assert_eq!(interleaved(&given), expected);
        };
        check(&[], &[]);
        check(&["1.1.1.1:1"], &["1.1.1.1:1"]);
        check(
            &["[::1]:1", "[::2]:1", "1.1.1.1:1", "2.2.2.2:1", "3.3.3.3:1"],
            &["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "3.3.3.3:1"],
        );
        check(
            &["1.1.1.1:1", "2.2.2.2:1", "[::1]:1"],
            &["1.1.1.1:1", "[::1]:1", "2.2.2.2:1"],
        );
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_followed_by_the_next_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let open = listener.local_addr().expect("it has one");
        // Bound and not listening, so that connections are refused.
        let taken = tokio::net::TcpSocket::new_v4().expect("a socket");
        let any = "127.0.0.1:0".parse().expect("an address");
        taken.bind(any).expect("a free port");
        let closed = taken.local_addr().expect("it has one");
        // With this delay, only a failure leads to the next address within the test.
        let delay = Duration::from_hours(1);
        let stream = race(&[closed, closed, open], delay)
            .await
            .expect("it connects");
        assert_eq!(stream.peer_addr().expect("it is connected"), open);
        let error = race(&[closed, closed], delay)
            .await
            .expect_err("none listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = race(&[], delay).await.expect_err("there is none");
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_is_followed_by_the_next() {
        // Nothing accepts its connections. Once its queue is full, which has one place more than asked
        // for, the kernel drops further attempts.
        let silent = tokio::net::TcpSocket::new_v4().expect("a socket");
        let any = "127.0.0.1:0".parse().expect("an address");
        silent.bind(any).expect("a free port");
        let silent = silent.listen(1).expect("it listens");
        let address = silent.local_addr().expect("it has one");
        let mut queued = Vec::new();
        for _ in 0..2 {
            queued.push(TcpStream::connect(address).await.expect("it is queued"));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let open = listener.local_addr().expect("it has one");
        let stream = race(&[address, open], ATTEMPT_DELAY)
            .await
            .expect("it connects");
        assert_eq!(stream.peer_addr().expect("it is connected"), open);
    }
}
