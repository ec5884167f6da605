//! One request and its answer: authorisation, redirects, failures as values.
//!
//! Refuses to send an authorisation to another host than the registry, and more redirects than anybody
//! needs.

use bytes::Bytes;
use futures_util::stream;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{Method, StatusCode};
use reqwest::Response;
use url::Url;

use super::retry::Failure;
use super::{Registry, places};
use crate::error::{Error, shown};
use crate::progress::Meter;

/// The most redirects of one request.
const MOST_REDIRECTS: usize = 5;
/// The piece in which an upload is handed to the connection.
const PIECE: usize = 64 << 10;

/// What a request needs to be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    Pull,
    Push,
}

impl Access {
    /// As it is shown.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push to",
        }
    }

    /// As token services are asked for it.
    pub(super) fn scope(self, repository: &str) -> String {
        match self {
            Self::Pull => format!("repository:{repository}:pull"),
            Self::Push => format!("repository:{repository}:pull,push"),
        }
    }
}

/// A request to the registry, or to where it has sent us.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) access: Access,
    pub(crate) accept: Option<String>,
    pub(crate) upload: Option<Upload>,
}

/// What a request carries.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Bytes,
    pub(crate) meter: Meter,
}

impl Request {
    /// A request for something to read.
    pub(crate) fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            access: Access::Pull,
            accept: None,
            upload: None,
        }
    }

    /// A request that changes something.
    pub(crate) fn push(method: Method, url: Url) -> Self {
        Self {
            method,
            access: Access::Push,
            ..Self::get(url)
        }
    }
}

impl Registry {
    /// Sends a request, authorised if the registry wants that. Answers of every status but 401 are returned.
    pub(crate) async fn send(&self, request: &Request) -> Result<Response, Failure> {
        let response = self.follow(request).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_home(response.url()) {
            return Ok(response);
        }
        self.authorize(&response, request.access).await?;
        let response = self.follow(request).await?;
        if response.status() == StatusCode::UNAUTHORIZED && self.is_home(response.url()) {
            return Err(self.unauthorized(request.access).into());
        }
        Ok(response)
    }

    /// An answer that is none of those that were expected.
    pub(crate) async fn unexpected(&self, response: Response, access: Access) -> Failure {
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.is_home(response.url()) => {
                self.unauthorized(access).into()
            }
            status => {
                let error = Error::Status {
                    address: shown(response.url()),
                    status: status.as_u16(),
                    message: String::new(),
                    attempts: 1,
                };
                let mut failure = Failure::answered(error, &response);
                failure.tell(super::body::message(response).await);
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

    /// Sends a request, and follows where the registry sends us for something to read.
    async fn follow(&self, request: &Request) -> Result<Response, Failure> {
        let mut url = request.url.clone();
        if !self.is_home(&url) {
            self.check_place(&self.base, &url)?;
        }
        for _ in 0..=MOST_REDIRECTS {
            let response = self.once(request, &url).await?;
            if !response.status().is_redirection() || request.method != Method::GET {
                return Ok(response);
            }
            let to = location(&response)?;
            self.check_place(&url, &to)?;
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
        if self.is_home(url)
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
            // Some registries insist on the header where nothing is sent.
            None => builder.header(CONTENT_LENGTH, 0),
        };
        builder
            .send()
            .await
            .map_err(|error| self.broken(url, error))
    }

    /// A connection that failed, as what may be tried again or not.
    pub(super) fn broken(&self, url: &Url, error: reqwest::Error) -> Failure {
        if let Some(forbidden) = places::forbidden(url, &error) {
            return forbidden.into();
        }
        let address = shown(url);
        if error.is_timeout() && !error.is_connect() {
            return Failure::passing(Error::Slow {
                address,
                attempts: 1,
                limit: self.patience.silence,
            });
        }
        // The library would show the whole address.
        let source = Box::new(error.without_url());
        Failure::passing(Error::Unreachable {
            address,
            attempts: 1,
            source,
        })
    }

    /// Checks a place that the registry named.
    pub(super) fn check_place(&self, from: &Url, to: &Url) -> Result<(), Error> {
        if self.is_home(to) {
            return Ok(());
        }
        let plain = self.base.scheme() == "http";
        places::check(from, to, plain, self.reference.is_local())
    }
}

/// Where an answer leads, which may be relative to where it came from.
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
    /// The bytes in pieces, each counted when the connection takes it.
    fn body(&self) -> reqwest::Body {
        let start = (self.bytes.clone(), self.meter.clone());
        start.1.restart();
        let pieces = stream::unfold(start, |(mut rest, meter)| async move {
            if rest.is_empty() {
                return None;
            }
            let piece = rest.split_to(PIECE.min(rest.len()));
            meter.add(piece.len() as u64);
            Some((Ok::<Bytes, std::convert::Infallible>(piece), (rest, meter)))
        });
        reqwest::Body::wrap_stream(pieces)
    }
}
