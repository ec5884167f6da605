//! Tests outbound calls over TLS: which authorities a function trusts, what it gets otherwise, and what is logged.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sampan_tests::{Guests, HANDLERS, Sampan, listen};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

/// A private certificate authority.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::default();
        let name = "a private authority";
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).expect("it can sign").pem();
        let issuer = Issuer::new(parameters, key);
        Authority { pem, issuer }
    }

    /// Serves at the loopback address with a certificate for this name, which may have expired.
    async fn serve(&self, name: &str, expired: bool) -> SocketAddr {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new([name.to_owned()]).expect("a name");
        if expired {
            parameters.not_before = date_time_ymd(2020, 1, 1);
            parameters.not_after = date_time_ymd(2021, 1, 1);
        }
        let certificate = parameters
            .signed_by(&key, &self.issuer)
            .expect("it can sign");
        let certificate = CertificateDer::from(certificate.der().to_vec());
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("certificate and key fit");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        listen(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                // A client that does not trust it ends here.
                if let Ok(stream) = acceptor.accept(stream).await {
                    answer(stream).await;
                }
            }
        })
        .await
    }
}

/// Answers a request that fits into one read.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut request = [0; 4096];
    if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
        let _ = stream.write_all(answer).await;
        let _ = stream.shutdown().await;
    }
}

/// A rule for `localhost` at this port, and more keys beside it.
fn lines(address: SocketAddr, more: &str) -> String {
    let port = address.port();
    format!("outbound: {{ allow: [\"https://localhost:{port}\"]{more} }}\n")
}

async fn check(sampan: &Sampan, function: &str, address: SocketAddr, expected: &str) {
    let path = format!("/request?to=https://localhost:{}/", address.port());
    let answer = sampan.call(function, &path).await;
    assert!(
        answer.text().starts_with(expected),
        "{function}: {answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_trusts_the_authorities_that_it_names() {
    let authority = Authority::new();
    let good = authority.serve("localhost", false).await;
    let other = authority.serve("other.example", false).await;
    let old = authority.serve("localhost", true).await;
    let plain = listen(answer).await;
    let trusting = ", certificateAuthorities: [ca.crt]";
    let cases = [
        ("good", good, trusting, "200 ok", ""),
        (
            "stranger",
            good,
            "",
            "ErrorCode::TlsCertificateError",
            "UnknownIssuer",
        ),
        (
            "name",
            other,
            trusting,
            "ErrorCode::TlsCertificateError",
            "not valid for name",
        ),
        (
            "old",
            old,
            trusting,
            "ErrorCode::TlsCertificateError",
            "expired",
        ),
        (
            "plain",
            plain,
            trusting,
            "ErrorCode::TlsProtocolError",
            "no TLS session",
        ),
    ];
    for caller in HANDLERS {
        let mut guests = Guests::none();
        for (function, address, more, ..) in cases {
            guests = guests.and(function, caller, &lines(address, more));
            let file = guests.folder().join(function).join("ca.crt");
            fs::write(file, &authority.pem).expect("a file can be written");
        }
        let sampan = Sampan::up(guests.folder()).await;
        for (function, address, _, expected, logged) in cases {
            check(&sampan, function, address, expected).await;
            if !logged.is_empty() {
                let by = format!("function={function} ");
                sampan
                    .wait_for_line(&[logged, &by, "host=\"localhost\""])
                    .await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_replaces_the_authorities_of_all_functions() {
    let authority = Authority::new();
    let address = authority.serve("localhost", false).await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("ca.pem");
    fs::write(&file, &authority.pem).expect("a file can be written");
    for (variable, value) in [
        ("SSL_CERT_FILE", file.as_path()),
        ("SSL_CERT_DIR", folder.path()),
    ] {
        let guests = Guests::handlers(&lines(address, ""));
        let mut command = Sampan::command(guests.folder());
        command.env(variable, value);
        let sampan = Sampan::start(command).await;
        for caller in HANDLERS {
            check(&sampan, caller, address, "200 ok").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_loads_when_its_authorities_are_there() {
    let authority = Authority::new();
    let address = authority.serve("localhost", false).await;
    let lines = lines(address, ", certificateAuthorities: [ca.crt]");
    // A server of which no function loads would end.
    let guests = Guests::one("probe", &lines).and("other", "probe", "");
    let mut sampan = Sampan::up(guests.folder()).await;
    let failed: Vec<_> = sampan.seen("failed").map(ToString::to_string).collect();
    assert!(
        failed.len() == 1 && failed[0].contains("ca.crt cannot be used: No such file"),
        "{failed:?}"
    );
    let file = guests.folder().join("probe").join("ca.crt");
    fs::write(file, &authority.pem).expect("a file can be written");
    sampan.event("ready").await;
    check(&sampan, "probe", address, "200 ok").await;
}
