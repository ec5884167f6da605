//! HTTP client of one function, with pooled connections to allowed upstreams.
//!
//! Each function has its own pool, so no function uses a connection that was made under the rules
//! of another.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use sampan_spec::{Function, OutboundRules, Permit, Scheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wasmtime_wasi_http::{Error, WasiBody};

use crate::resolve::resolve;

/// Time limit for making a connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an idle connection stays open.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The most idle connections for each upstream.
const MAX_IDLE_PER_HOST: usize = 16;

/// The most fields in the head of a response. hyper's limit of its bytes is 408 KiB.
const MAX_RESPONSE_FIELDS: usize = 2_000;

pub(crate) type OutboundClient = Client<Connector, WasiBody>;

/// Makes a client that connects only to the upstreams that `function` may call.
pub(crate) fn new(function: Arc<Function>, tls: Arc<rustls::ClientConfig>) -> OutboundClient {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .http1_max_headers(MAX_RESPONSE_FIELDS)
        .build(Connector {
            function,
            tls: TlsConnector::from(tls),
        })
}

/// The TLS configuration of all functions: Mozilla's roots, TLS 1.2 and 1.3.
///
/// # Panics
///
/// Never: the provider that is named here has both versions.
pub(crate) fn tls() -> Arc<rustls::ClientConfig> {
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.into(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring offers TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// Looks up a request's scheme, host and port in the rules; `None` when no rule allows them.
pub(crate) fn permit(rules: &OutboundRules, uri: &Uri) -> Option<(Scheme, u16, Permit)> {
    let scheme: Scheme = uri.scheme_str()?.parse().ok()?;
    let port = uri.port_u16().unwrap_or_else(|| scheme.default_port());
    Some((scheme, port, rules.permit(scheme, uri.host()?, port)?))
}

/// Reasons why a connection was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no rule allows it")]
    Denied,
    #[error("the name does not resolve")]
    Resolve(#[source] io::Error),
    #[error("no connection")]
    Connect(#[source] io::Error),
    #[error("no TLS session")]
    Tls(#[source] io::Error),
    #[error("not a name that a certificate can have")]
    Name,
    #[error("no connection in time")]
    Timeout,
}

impl From<&ConnectError> for Error {
    fn from(error: &ConnectError) -> Self {
        match error {
            ConnectError::Denied => Self::HttpRequestDenied,
            ConnectError::Resolve(_) => Self::DnsError {
                rcode: None,
                info_code: None,
            },
            ConnectError::Connect(source) if source.kind() == io::ErrorKind::ConnectionRefused => {
                Self::ConnectionRefused
            }
            ConnectError::Connect(_) => Self::DestinationUnavailable,
            ConnectError::Tls(_) => Self::TlsProtocolError,
            ConnectError::Name => Self::TlsCertificateError,
            ConnectError::Timeout => Self::ConnectionTimeout,
        }
    }
}

/// Makes connections under the rules of one function.
#[derive(Clone)]
pub(crate) struct Connector {
    function: Arc<Function>,
    tls: TlsConnector,
}

impl Connector {
    async fn connect(self, uri: Uri) -> Result<Transport, ConnectError> {
        let (scheme, port, permit) =
            permit(&self.function.outbound, &uri).ok_or(ConnectError::Denied)?;
        let host = uri.host().ok_or(ConnectError::Denied)?;
        let addresses = resolve(host, port, &permit).await?;
        let stream = TcpStream::connect(addresses.as_slice())
            .await
            .map_err(ConnectError::Connect)?;
        stream.set_nodelay(true).map_err(ConnectError::Connect)?;
        match scheme {
            Scheme::Http => Ok(Transport::Plain(TokioIo::new(stream))),
            Scheme::Https => {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                let name = ServerName::try_from(bare.to_owned()).map_err(|_| ConnectError::Name)?;
                let stream = self
                    .tls
                    .connect(name, stream)
                    .await
                    .map_err(ConnectError::Tls)?;
                Ok(Transport::Tls(Box::new(TokioIo::new(stream))))
            }
        }
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = Transport;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Transport, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(uri))
                .await
                .unwrap_or(Err(ConnectError::Timeout))
        })
    }
}

/// A connection to an upstream.
pub(crate) enum Transport {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Transport {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

/// Calls the same method of either transport.
macro_rules! forward {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Transport::Plain($stream) => {
                let $stream = Pin::new($stream);
                $call
            }
            Transport::Tls($stream) => {
                let $stream = Pin::new(&mut **$stream);
                $call
            }
        }
    };
}

impl Read for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_read(context, buffer))
    }
}

impl Write for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        forward!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self, stream => stream.poll_shutdown(context))
    }
}
