//! Sends one request: authorization, redirects, and failures as values.
//!
//! The authorization is sent only to the registry's own host. The number of redirects is limited.

use bytes::Bytes;
use futures_util::stream;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{Method, StatusCode};
use reqwest::Response;
use url::Url;

use super::retry::Failure;
use super::{Registry, redirect_targets};
use crate::error::{Error, shown};
use crate::progress::Meter;

/// The most redirects of one request.
const MAX_REDIRECTS: usize = 5;
/// The chunk size of uploads, in bytes.
const UPLOAD_CHUNK: usize = 64 << 10;

/// The permission that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    Pull,
    Push,
}

impl Access {
    /// The action in messages.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push to",
        }
    }

    /// The scope for token services.
    pub(super) fn scope(self, repository: &str) -> String {
        match self {
            Self::Pull => format!("repository:{repository}:pull"),
            Self::Push => format!("repository:{repository}:pull,push"),
        }
    }
}

/// A request to the registry, or to a redirect target.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) access: Access,
    pub(crate) accept: Option<String>,
    pub(crate) upload: Option<Upload>,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Bytes,
    pub(crate) meter: Meter,
}

impl Request {
    /// Makes a request that reads.
    pub(crate) fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            access: Access::Pull,
            accept: None,
            upload: None,
        }
    }

    /// Makes a request that changes something.
    pub(crate) fn push(method: Method, url: Url) -> Self {
        Self {
            method,
            access: Access::Push,
            ..Self::get(url)
        }
    }
}

impl Registry {
    /// Sends a request, with authorization if the registry requires it. Returns responses of every
    /// status but 401.
    pub(crate) async fn send(&self, request: &Request) -> Result<Response, Failure> {
        let response = self.follow(request).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_own(response.url()) {
            return Ok(response);
        }
        self.authorize(&response, request.access).await?;
        let response = self.follow(request).await?;
        if response.status() == StatusCode::UNAUTHORIZED && self.is_own(response.url()) {
            return Err(self.unauthorized(request.access).into());
        }
        Ok(response)
    }

    /// The failure of a response with an unexpected status.
    pub(crate) async fn unexpected(&self, response: Response, access: Access) -> Failure {
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.is_own(response.url()) => {
                self.unauthorized(access).into()
            }
            status => {
                let error = Error::Status {
                    address: shown(response.url()),
                    status: status.as_u16(),
                    message: String::new(),
                    attempts: 1,
                };
                let mut failure = Failure::from_response(error, &response);
                failure.set_message(super::body::message(response).await);
                failure
            }
        }
    }

    pub(super) fn unauthorized(&self, access: Access) -> Error {
        Error::Unauthorized {
            registry: self.reference.registry().to_owned(),
            repository: self.reference.repository().to_owned(),
            action: access.word(),
            how: if self.login.is_some() {
                ", with the credentials that Docker's configuration has for it"
            } else {
                ", without credentials"
            },
        }
    }

    /// Sends a request, and follows redirects of requests that read.
    async fn follow(&self, request: &Request) -> Result<Response, Failure> {
        let mut url = request.url.clone();
        if !self.is_own(&url) {
            self.check_target(&self.base, &url)?;
        }
        for _ in 0..=MAX_REDIRECTS {
            let response = self.once(request, &url).await?;
            if !response.status().is_redirection() || request.method != Method::GET {
                return Ok(response);
            }
            let to = location(&response)?;
            self.check_target(&url, &to)?;
            url = to;
        }
        Err(Error::Protocol {
            address: shown(&request.url),
            problem: "it redirects without end",
        }
        .into())
    }

    async fn once(&self, request: &Request, url: &Url) -> Result<Response, Failure> {
        let mut builder = self
            .client(url)
            .request(request.method.clone(), url.clone());
        if self.is_own(url)
            && let Some(authorization) = self.authorizations.lock().await.get(&request.access)
        {
            builder = builder.header(AUTHORIZATION, authorization.header());
        }
        if let Some(accept) = &request.accept {
            builder = builder.header(ACCEPT, accept);
        }
        builder = match &request.upload {
            Some(upload) => builder
                .header(CONTENT_TYPE, upload.media_type)
                .header(CONTENT_LENGTH, upload.bytes.len())
                .body(upload.body()),
            None if request.method == Method::GET || request.method == Method::HEAD => builder,
            // Some registries require the header without a body.
            None => builder.header(CONTENT_LENGTH, 0),
        };
        builder
            .send()
            .await
            .map_err(|error| self.broken(url, error))
    }

    /// The failure of a connection, transient or permanent.
    pub(super) fn broken(&self, url: &Url, error: reqwest::Error) -> Failure {
        if let Some(forbidden) = redirect_targets::forbidden(url, &error) {
            return forbidden.into();
        }
        let address = shown(url);
        if error.is_timeout() && !error.is_connect() {
            return Failure::transient(Error::Slow {
                address,
                attempts: 1,
                limit: self.retry.read_timeout,
            });
        }
        // The library's message would contain the whole address.
        let source = Box::new(error.without_url());
        Failure::transient(Error::Unreachable {
            address,
            attempts: 1,
            source,
        })
    }

    /// Checks an address that the registry named.
    pub(super) fn check_target(&self, from: &Url, to: &Url) -> Result<(), Error> {
        if self.is_own(to) {
            return Ok(());
        }
        let plain = self.base.scheme() == "http";
        redirect_targets::check(from, to, plain, self.reference.is_local())
    }
}

/// The target of a response, which may be relative to its address.
pub(crate) fn location(response: &Response) -> Result<Url, Error> {
    let text = response.headers().get(LOCATION);
    text.and_then(|text| text.to_str().ok())
        .and_then(|text| response.url().join(text).ok())
        .ok_or_else(|| Error::Protocol {
            address: shown(response.url()),
            problem: "it does not say where to go on (Location)",
        })
}

impl Upload {
    /// The bytes in chunks. Each is counted when the connection takes it.
    fn body(&self) -> reqwest::Body {
        let start = (self.bytes.clone(), self.meter.clone());
        start.1.restart();
        let pieces = stream::unfold(start, |(mut rest, meter)| async move {
            if rest.is_empty() {
                return None;
            }
            let piece = rest.split_to(UPLOAD_CHUNK.min(rest.len()));
            meter.add(piece.len() as u64);
            Some((Ok::<Bytes, std::convert::Infallible>(piece), (rest, meter)))
        });
        reqwest::Body::wrap_stream(pieces)
    }
}
