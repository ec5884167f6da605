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
use wasmtime_wasi_http::Error;

use crate::resolve::{Lookups, bare, resolve};
use crate::upstream::{Origin, Upstream};

/// The "Connection Attempt Delay" that RFC 8305 recommends in its section 8.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Reasons why a connection was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no rule of outbound.allow allows its address {}", list(addresses))]
    Denied { addresses: Vec<IpAddr> },
    #[error("its name does not resolve: {0}")]
    Resolve(io::Error),
    #[error("its name did not resolve in time")]
    ResolveTimeout,
    #[error("no connection to {}: {source}", list(addresses))]
    Tcp {
        addresses: Vec<IpAddr>,
        source: io::Error,
    },
    #[error("no connection to {} in time", list(addresses))]
    TcpTimeout { addresses: Vec<IpAddr> },
    #[error("no TLS session: {0}{hint}", hint = hint(.0))]
    Tls(io::Error),
    #[error("no TLS session in time")]
    TlsTimeout,
    #[error("no certificate can have its name")]
    Name,
}

impl ConnectError {
    /// The error code of wasi:http.
    pub(crate) fn code(&self) -> Error {
        match self {
            Self::Denied { .. } => Error::HttpRequestDenied,
            Self::Resolve(_) => Error::DnsError {
                rcode: None,
                info_code: None,
            },
            Self::ResolveTimeout => Error::DnsTimeout,
            Self::Tcp { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => {
                Error::ConnectionRefused
            }
            Self::Tcp { .. } => Error::DestinationUnavailable,
            Self::Tls(error) => tls_code(error).unwrap_or(Error::ConnectionTerminated),
            Self::Name => Error::TlsCertificateError,
            Self::TcpTimeout { .. } | Self::TlsTimeout => Error::ConnectionTimeout,
        }
    }
}

fn list(addresses: &[IpAddr]) -> String {
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    shown.join(", ")
}

/// The error of TLS inside an error of its stream, if there is one.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// The error code of wasi:http for a failure of TLS; `None` for a failure of the connection below.
pub(crate) fn tls_code(error: &io::Error) -> Option<Error> {
    Some(match tls_error(error)? {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            Error::TlsCertificateError
        }
        rustls::Error::AlertReceived(alert) => Error::TlsAlertReceived {
            alert_id: Some(u8::from(*alert)),
            alert_message: Some(format!("{alert:?}")),
        },
        _ => Error::TlsProtocolError,
    })
}

/// What to do about a certificate of an untrusted authority; empty for other failures.
fn hint(error: &io::Error) -> &'static str {
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
            " (no trusted authority has signed it; outbound.certificateAuthorities adds one)"
        }
        _ => "",
    }
}

/// A new connection.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects to an upstream until `by`. Only addresses that the function's rules allow are tried.
pub(crate) async fn connect(
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

    #[test]
    fn failures_of_tls_have_their_own_codes() {
        use rustls::{AlertDescription, CertificateError, Error as Tls};

        let check = |error: Tls, expected: &str, hinted: bool| {
            let error = io::Error::new(io::ErrorKind::InvalidData, error);
            let error = ConnectError::Tls(error);
            let code = format!("{:?}", error.code());
            assert!(code.starts_with(expected), "{code} for {error}");
            let shown = error.to_string();
            assert_eq!(shown.contains("certificateAuthorities"), hinted, "{shown}");
        };
        let certificate = "TlsCertificateError";
        check(
            Tls::InvalidCertificate(CertificateError::UnknownIssuer),
            certificate,
            true,
        );
        check(
            Tls::InvalidCertificate(CertificateError::Expired),
            certificate,
            false,
        );
        check(
            Tls::InvalidCertificate(CertificateError::NotValidForName),
            certificate,
            false,
        );
        check(
            Tls::AlertReceived(AlertDescription::HandshakeFailure),
            "TlsAlertReceived { alert_id: Some(40), alert_message: Some(\"HandshakeFailure\") }",
            false,
        );
        check(Tls::DecryptError, "TlsProtocolError", false);
        let broken = ConnectError::Tls(io::ErrorKind::UnexpectedEof.into());
        assert!(matches!(broken.code(), Error::ConnectionTerminated));
    }
}
