//! One repository of one registry, over HTTP.
//!
//! Bounded in everything that the other side decides: redirects, attempts, times, sizes. Refuses to hand
//! credentials to another host, to follow a registry to places that are not the network's, and to read
//! more than was announced.

mod authorize;
mod body;
mod exchange;
mod places;
mod retry;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect;
use tokio::sync::Mutex;
use url::Url;

use crate::credentials::Login;
use crate::error::Error;
use crate::reference::Reference;
use authorize::Authorization;
pub(crate) use body::{Wanted, claimed_digest};
pub(crate) use exchange::{Access, Request, Upload, location};
use places::Resolver;
pub(crate) use retry::Failure;

/// How a registry is reached.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// HTTP without TLS. Without it, only registries on this machine are talked to that way.
    pub plain_http: bool,
    /// The credentials, for this registry and its token service.
    pub login: Option<Login>,
    /// How long and how often things are tried.
    pub patience: Patience,
}

/// How long and how often things are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How often a request is made in all, when what is in its way may go away.
    pub attempts: u32,
    /// How long to wait before the second attempt; it doubles from then on.
    pub first_wait: Duration,
    /// The longest wait, also if the registry asks for more (`Retry-After`).
    pub longest_wait: Duration,
    /// How long a connection may take.
    pub connect: Duration,
    /// How long the other side may say nothing.
    pub silence: Duration,
    /// How long a request without much content may take as a whole.
    pub whole: Duration,
    /// The bytes a second that content has to move with; it adds to `whole`.
    pub slowest: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            whole: Duration::from_mins(1),
            slowest: 32 << 10,
        }
    }
}

impl Patience {
    /// How long a request may take that moves so many bytes.
    fn limit(&self, bytes: u64) -> Duration {
        self.whole + Duration::from_secs(bytes / self.slowest.max(1))
    }
}

/// A repository that can be asked.
#[derive(Debug)]
pub struct Registry {
    reference: Reference,
    base: Url,
    /// For the registry itself, wherever it is.
    home: reqwest::Client,
    /// For where the registry sends us.
    abroad: reqwest::Client,
    login: Option<Login>,
    patience: Patience,
    authorizations: Mutex<BTreeMap<Access, Authorization>>,
}

impl Registry {
    /// Prepares to talk to the registry of a reference. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Error::Client`] when TLS cannot be prepared, for example without certificates to trust.
    pub fn new(reference: Reference, options: Options) -> Result<Self, Error> {
        let local = reference.is_local();
        let plain = options.plain_http || local;
        let scheme = if plain { "http" } else { "https" };
        let client = |error: Box<dyn std::error::Error + Send + Sync>| Error::Client(error);
        let base = Url::parse(&format!("{scheme}://{}/v2/", reference.registry()))
            .map_err(|error| client(error.into()))?;
        // Fails when the program has chosen a provider already, which is then the one that is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("sampan/", env!("CARGO_PKG_VERSION")))
                // Redirects are followed by us, who look where they lead.
                .redirect(redirect::Policy::none())
                .connect_timeout(options.patience.connect)
                .read_timeout(options.patience.silence);
            let builder = if local { builder.no_proxy() } else { builder };
            if plain {
                // Also works where there are no certificates.
                builder.tls_certs_only([])
            } else {
                builder
            }
        };
        let built =
            |builder: reqwest::ClientBuilder| builder.build().map_err(|error| client(error.into()));
        Ok(Self {
            home: built(builder())?,
            abroad: built(builder().dns_resolver(Arc::new(Resolver::new(local))))?,
            reference,
            base,
            login: options.login,
            patience: options.patience,
            authorizations: Mutex::default(),
        })
    }

    /// What was asked for.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The address of something in the repository, such as `manifests/latest`.
    pub(crate) fn address(&self, rest: &str) -> Url {
        let mut url = self.base.clone();
        // Both are made of characters that need no escape: the reference's grammar says so.
        url.set_path(&format!("/v2/{}/{rest}", self.reference.repository()));
        url
    }

    /// Whether an address is the registry's own.
    fn is_home(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    fn client(&self, url: &Url) -> &reqwest::Client {
        if self.is_home(url) {
            &self.home
        } else {
            &self.abroad
        }
    }
}
