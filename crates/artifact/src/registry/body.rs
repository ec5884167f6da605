//! Reads responses of a registry: counted, hashed and limited.
//!
//! Declared sizes, `Content-Length` and `Docker-Content-Digest` are compared with the received
//! bytes.

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use serde::Deserialize;

use super::Registry;
use super::retry::Failure;
use crate::digest::{Digest, Hasher};
use crate::error::{ContentError, Error};
use crate::progress::Meter;

/// The header with the registry's digest of a body.
const DIGEST_HEADER: &str = "docker-content-digest";
/// The most bytes that are read of an error response.
const MAX_ERROR_BYTES: usize = 8 << 10;
/// The most characters of it in messages.
const MAX_SHOWN: usize = 300;
/// The most characters of a digest in a header, in messages. Every digest is shorter.
const MAX_CLAIM: usize = 160;

/// Expectations on a body.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// Its name in messages.
    pub(crate) what: String,
    /// Its digest.
    pub(crate) digest: Option<Digest>,
    /// Its size in bytes.
    pub(crate) size: Option<u64>,
    /// The most bytes that are read of it.
    pub(crate) limit: u64,
}

impl Expected {
    /// Checks the declared size before a request.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.size {
            Some(size) if size > self.limit => Err(self.refuse(ContentError::Size {
                size,
                limit: self.limit,
            })),
            _ => Ok(()),
        }
    }

    fn refuse(&self, error: ContentError) -> Error {
        Error::content(self.what.clone(), error)
    }

    /// The most bytes that may arrive.
    fn most(&self) -> u64 {
        self.size.unwrap_or(self.limit).min(self.limit)
    }
}

impl Registry {
    /// Reads a whole response.
    pub(crate) async fn read(
        &self,
        mut response: Response,
        expected: &Expected,
        meter: &Meter,
    ) -> Result<(Bytes, Digest), Failure> {
        let most = expected.most();
        if let Some(size) = response.content_length()
            && size > most
        {
            return Err(expected
                .refuse(ContentError::Size { size, limit: most })
                .into());
        }
        let url = response.url().clone();
        let claimed = claimed_digest(&response);
        let mut bytes = BytesMut::new();
        let hasher = expected.digest.as_ref().map(Hasher::like);
        let mut hasher = hasher.unwrap_or_default();
        meter.restart();
        while let Some(piece) = response
            .chunk()
            .await
            .map_err(|error| self.broken(&url, error))?
        {
            if bytes.len() as u64 + piece.len() as u64 > most {
                return Err(expected
                    .refuse(ContentError::Endless { declared: most })
                    .into());
            }
            hasher.update(&piece);
            bytes.extend_from_slice(&piece);
            meter.add(piece.len() as u64);
        }
        let actual = hasher.finish();
        let refused = if let Some(declared) = expected.size
            && declared != bytes.len() as u64
        {
            Some(ContentError::Short {
                declared,
                actual: bytes.len() as u64,
            })
        } else if let Some(expected) = &expected.digest
            && *expected != actual
        {
            Some(ContentError::Digest {
                expected: expected.clone(),
                actual: actual.clone(),
            })
        } else {
            // Storage behind a redirect is not the registry; its digest header does not count.
            claimed
                .filter(|claimed| self.is_own(&url) && !is_digest_of(claimed, &actual, &bytes))
                .map(|claimed| ContentError::Claim {
                    claimed,
                    actual: actual.clone(),
                })
        };
        match refused {
            Some(error) => Err(expected.refuse(error).into()),
            None => Ok((bytes.freeze(), actual)),
        }
    }
}

/// The digest header of a response.
pub(crate) fn claimed_digest(response: &Response) -> Option<String> {
    let value = response.headers().get(DIGEST_HEADER)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    Some(text.chars().take(MAX_CLAIM).collect())
}

/// Whether a registry's digest header is right about these bytes, which have the digest `actual`.
/// The header may have another algorithm.
pub(crate) fn is_digest_of(claimed: &str, actual: &Digest, bytes: &[u8]) -> bool {
    claimed == actual.as_str()
        || claimed
            .parse()
            .is_ok_and(|claimed: Digest| claimed.matches(bytes))
}

#[derive(Deserialize)]
struct Envelope {
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The error message of a response, after a colon; empty if there is none.
pub(super) async fn message(mut response: Response) -> String {
    let mut bytes = Vec::new();
    // The status is the failure; a connection that breaks within its explanation changes nothing.
    while let Ok(Some(piece)) = response.chunk().await {
        let left = MAX_ERROR_BYTES - bytes.len();
        bytes.extend_from_slice(&piece[..piece.len().min(left)]);
        if bytes.len() == MAX_ERROR_BYTES {
            break;
        }
    }
    let text = match serde_json::from_slice::<Envelope>(&bytes) {
        Ok(envelope) => envelope
            .errors
            .iter()
            .map(|error| format!("{} {}", error.code, error.message))
            .collect::<Vec<_>>()
            .join("; "),
        // An HTML page, or nothing: the status says as much.
        Err(_) => String::new(),
    };
    match text.trim() {
        "" => String::new(),
        text => format!(": {}", text.chars().take(MAX_SHOWN).collect::<String>()),
    }
}
