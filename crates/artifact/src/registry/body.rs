//! Reading what a registry answers: counted, hashed, and never more than was announced.
//!
//! Refuses to take a claim for a fact: declared sizes, `Content-Length` and `Docker-Content-Digest` are
//! compared with what came.

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use serde::Deserialize;

use super::Registry;
use super::retry::Failure;
use crate::digest::{Digest, Hasher};
use crate::error::{ContentError, Error};
use crate::progress::Meter;

/// The header in which a registry names the digest of what it sends.
const DIGEST_HEADER: &str = "docker-content-digest";
/// The most bytes that are read of an answer that tells of a failure.
const MOST_MESSAGE: usize = 8 << 10;
/// The most characters that are shown of it.
const SHOWN: usize = 300;

/// What is known about bytes before they come.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// What they are, as it is shown.
    pub(crate) what: String,
    /// Their digest.
    pub(crate) digest: Option<Digest>,
    /// Their number.
    pub(crate) size: Option<u64>,
    /// The most that is read of them.
    pub(crate) limit: u64,
}

impl Wanted {
    /// Checks what is declared, before anything is asked for.
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

    /// The most bytes that may come.
    fn most(&self) -> u64 {
        self.size.unwrap_or(self.limit).min(self.limit)
    }
}

impl Registry {
    /// Reads an answer as a whole.
    pub(crate) async fn read(
        &self,
        mut response: Response,
        wanted: &Wanted,
        meter: &Meter,
    ) -> Result<(Bytes, Digest), Failure> {
        let most = wanted.most();
        if let Some(size) = response.content_length()
            && size > most
        {
            return Err(wanted
                .refuse(ContentError::Size { size, limit: most })
                .into());
        }
        let url = response.url().clone();
        let claimed = response.headers().get(DIGEST_HEADER).map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            text.chars().take(96).collect::<String>()
        });
        let mut bytes = BytesMut::new();
        let mut hasher = Hasher::default();
        meter.restart();
        while let Some(piece) = response
            .chunk()
            .await
            .map_err(|error| self.broken(&url, error))?
        {
            if bytes.len() as u64 + piece.len() as u64 > most {
                return Err(wanted
                    .refuse(ContentError::Endless { declared: most })
                    .into());
            }
            hasher.update(&piece);
            bytes.extend_from_slice(&piece);
            meter.add(piece.len() as u64);
        }
        let actual = hasher.finish();
        let refused = if let Some(declared) = wanted.size
            && declared != bytes.len() as u64
        {
            Some(ContentError::Short {
                declared,
                actual: bytes.len() as u64,
            })
        } else if let Some(expected) = &wanted.digest
            && *expected != actual
        {
            Some(ContentError::Digest {
                expected: expected.clone(),
                actual: actual.clone(),
            })
        } else {
            // Storage behind a redirect is not the registry, and has nothing to say about digests.
            claimed
                .filter(|claimed| self.is_home(&url) && *claimed != actual.as_str())
                .map(|claimed| ContentError::Claim {
                    claimed,
                    actual: actual.clone(),
                })
        };
        match refused {
            Some(error) => Err(wanted.refuse(error).into()),
            None => Ok((bytes.freeze(), actual)),
        }
    }
}

/// What a registry's answer to a manifest that was pushed says about its digest.
pub(crate) fn claimed_digest(response: &Response) -> Option<String> {
    let value = response.headers().get(DIGEST_HEADER)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

#[derive(Deserialize)]
struct Envelope {
    errors: Vec<Complaint>,
}

#[derive(Deserialize)]
struct Complaint {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What an answer says about a failure, with a colon in front; nothing if it says nothing.
pub(super) async fn message(mut response: Response) -> String {
    let mut bytes = Vec::new();
    // The failure is the answer's status; a connection that breaks in its explanation changes nothing.
    while let Ok(Some(piece)) = response.chunk().await {
        let left = MOST_MESSAGE - bytes.len();
        bytes.extend_from_slice(&piece[..piece.len().min(left)]);
        if bytes.len() == MOST_MESSAGE {
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
        // A page for people, or nothing: the status says as much.
        Err(_) => String::new(),
    };
    match text.trim() {
        "" => String::new(),
        text => format!(": {}", text.chars().take(SHOWN).collect::<String>()),
    }
}
