//! HTTP client for one repository of one registry.
//!
//! Redirects, attempts, times and sizes are limited. Credentials are sent only to the registry's
//! own host. Redirects to this machine or its link are rejected.

mod authorize;
mod body;
mod exchange;
mod redirect_targets;
mod retry;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect;
use tokio::sync::Mutex;
use url::Url;

use crate::credentials::Login;
use crate::digest::Digest;
use crate::error::Error;
use crate::reference::Reference;
use authorize::Authorization;
pub(crate) use body::{Expected, claimed_digest, is_digest_of};
pub(crate) use exchange::{Access, Request, Upload, location};
use redirect_targets::Resolver;
pub(crate) use retry::Failure;

/// Connection options.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether to use HTTP without TLS. Registries on this machine always use it.
    pub plain_http: bool,
    /// The credentials, for this registry and its token service.
    pub login: Option<Login>,
    /// Limits of attempts and times.
    pub retry: RetryPolicy,
}

/// Limits of attempts and times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The most attempts of a request while its failure may be transient.
    pub attempts: u32,
    /// The wait before the second attempt; it doubles from then on.
    pub first_wait: Duration,
    /// The longest wait, also if the registry asks for more (`Retry-After`).
    pub longest_wait: Duration,
    /// Time limit for connecting.
    pub connect_timeout: Duration,
    /// Time limit between two reads.
    pub read_timeout: Duration,
    /// Time limit for a whole request without much content.
    pub request_timeout: Duration,
    /// The slowest accepted transfer, in bytes a second. It adds to `request_timeout`.
    pub min_bytes_per_second: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_mins(1),
            min_bytes_per_second: 32 << 10,
        }
    }
}

impl RetryPolicy {
    /// The time limit of a request that transfers so many bytes.
    fn limit(&self, bytes: u64) -> Duration {
        self.request_timeout + Duration::from_secs(bytes / self.min_bytes_per_second.max(1))
    }
}

/// The certificate authorities that a client trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those of the system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    System,
    /// The public ones that this program contains, for a container without any.
    Public,
}

fn public_authorities() -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A repository to which requests can be sent.
#[derive(Debug)]
pub struct Registry {
    reference: Reference,
    base: Url,
    /// The client for the registry itself, which may be anywhere.
    own_client: reqwest::Client,
    /// The client for redirect targets.
    external_client: reqwest::Client,
    login: Option<Login>,
    retry: RetryPolicy,
    authorizations: Mutex<BTreeMap<Access, Authorization>>,
}

impl Registry {
    /// Prepares the client for the registry of a reference. Sends no request.
    ///
    /// # Errors
    ///
    /// [`Error::Client`] when TLS cannot be prepared, for example without trusted certificates.
    pub fn new(reference: Reference, options: Options) -> Result<Self, Error> {
        Self::trusting(Trust::System, reference, options)
    }

    /// Like [`Registry::new`], with these certificate authorities.
    ///
    /// # Errors
    ///
    /// As for [`Registry::new`].
    pub fn trusting(trust: Trust, reference: Reference, options: Options) -> Result<Self, Error> {
        let local = reference.is_local();
        let plain = options.plain_http || local;
        let scheme = if plain { "http" } else { "https" };
        let client = |error: Box<dyn std::error::Error + Send + Sync>| Error::Client(error);
        let base = Url::parse(&format!("{scheme}://{}/v2/", reference.registry()))
            .map_err(|error| client(error.into()))?;
        // Fails if the program has already installed a provider, which is then used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("sampan/", env!("CARGO_PKG_VERSION")))
                // `exchange` follows redirects itself and checks their targets.
                .redirect(redirect::Policy::none())
                .connect_timeout(options.retry.connect_timeout)
                .read_timeout(options.retry.read_timeout);
            let builder = if local { builder.no_proxy() } else { builder };
            match trust {
                // Also works on systems without certificates.
                _ if plain => builder.tls_certs_only([]),
                Trust::System => builder,
                Trust::Public => builder.tls_backend_preconfigured(public_authorities()),
            }
        };
        let built =
            |builder: reqwest::ClientBuilder| builder.build().map_err(|error| client(error.into()));
        Ok(Self {
            own_client: built(builder())?,
            external_client: built(builder().dns_resolver(Arc::new(Resolver::new(local))))?,
            reference,
            base,
            login: options.login,
            retry: options.retry,
            authorizations: Mutex::default(),
        })
    }

    /// The same repository for another of its images, with the connections and authorizations that this one has.
    #[must_use]
    pub fn at(self, digest: &Digest) -> Self {
        Self {
            reference: self.reference.at(digest),
            ..self
        }
    }

    /// The reference.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The address of an object in the repository, such as `manifests/latest`.
    pub(crate) fn address(&self, rest: &str) -> Url {
        let mut url = self.base.clone();
        // The reference's grammar permits only characters that need no escape.
        url.set_path(&format!("/v2/{}/{rest}", self.reference.repository()));
        url
    }

    /// Whether an address is the registry's own.
    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    fn client(&self, url: &Url) -> &reqwest::Client {
        if self.is_own(url) {
            &self.own_client
        } else {
            &self.external_client
        }
    }
}
