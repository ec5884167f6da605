//! Reasons why a connection to an upstream was not made, with their error codes of wasi:http.

use std::io;
use std::net::IpAddr;

use rustls::CertificateError;
use wasmtime_wasi_http::Error;

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
    pub(super) fn code(&self) -> Error {
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
pub(super) fn tls_code(error: &io::Error) -> Option<Error> {
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

/// What to do about a certificate that is not trusted; empty for other failures.
fn hint(error: &io::Error) -> &'static str {
    let Some(rustls::Error::InvalidCertificate(reason)) = tls_error(error) else {
        return "";
    };
    match reason {
        CertificateError::UnknownIssuer => {
            " (no trusted authority has signed it; outbound.certificateAuthorities adds one)"
        }
        CertificateError::Other(other)
            if matches!(
                other.0.downcast_ref(),
                Some(webpki::Error::CaUsedAsEndEntity)
            ) =>
        {
            " (the server's certificate is that of an authority, even if it is trusted as one; the authority must \
             sign another one for the server)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn failures_of_tls_have_their_own_codes() {
        use rustls::{AlertDescription, Error as Tls};

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
        let own_authority = Arc::new(webpki::Error::CaUsedAsEndEntity);
        let own_authority = CertificateError::Other(rustls::OtherError(own_authority));
        let error = io::Error::other(Tls::InvalidCertificate(own_authority));
        let shown = ConnectError::Tls(error).to_string();
        assert!(shown.contains("must sign another one"), "{shown}");
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
