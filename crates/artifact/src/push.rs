//! Pushes a function: first the missing parts, then the manifests of an index, then what the tag names.
//!
//! A failure leaves the tag as it was. The registry's digests are compared with the pushed parts.

use http::{Method, StatusCode};
use url::Url;

use crate::build::{Artifact, Part};
use crate::digest::Digest;
use crate::error::{ContentError, Error, shown};
use crate::progress::{Meter, Observer};
use crate::registry::{
    Access, Failure, Registry, Request, Upload, claimed_digest, is_digest_of, location,
};

/// The media type of an upload.
const UPLOAD_TYPE: &str = "application/octet-stream";

/// The result of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the reference's target.
    pub digest: Digest,
    /// Bytes that were sent.
    pub sent: u64,
    /// Bytes that the registry already had.
    pub known: u64,
}

/// Pushes a function under the tag of the registry's reference.
///
/// # Errors
///
/// [`Error`]; the tag is then unchanged.
pub async fn push(
    registry: &Registry,
    artifact: &Artifact,
    observer: &Observer,
) -> Result<Pushed, Error> {
    let reference = registry.reference();
    let (Some(tag), None) = (reference.tag(), reference.digest()) else {
        return Err(Error::PushToDigest(Box::new(reference.clone())));
    };
    let total = artifact.size();
    let mut pushed = Pushed {
        digest: artifact.root.digest.clone(),
        sent: 0,
        known: 0,
    };
    for blob in &artifact.blobs {
        let size = blob.bytes.len() as u64;
        let meter = Meter::new(observer, pushed.sent + pushed.known, total);
        if exists(registry, blob).await? {
            pushed.known += size;
            meter.add(size);
        } else {
            upload(registry, blob, &meter).await?;
            pushed.sent += size;
        }
    }
    let by_digest = artifact
        .manifests
        .iter()
        .map(|part| (part, part.digest.as_str()));
    for (part, name) in by_digest.chain([(&artifact.root, tag)]) {
        let meter = Meter::new(observer, pushed.sent + pushed.known, total);
        put_manifest(registry, part, name, &meter).await?;
        pushed.sent += part.bytes.len() as u64;
    }
    Ok(pushed)
}

async fn exists(registry: &Registry, part: &Part) -> Result<bool, Error> {
    let url = registry.address(&format!("blobs/{}", part.digest));
    let request = Request::push(Method::HEAD, url.clone());
    registry
        .with_retries(shown(&url), 0, || async {
            let response = registry.send(&request).await?;
            match response.status() {
                StatusCode::NOT_FOUND => Ok(false),
                // A registry that redirects to its storage has the part.
                status if status.is_success() || status.is_redirection() => Ok(true),
                _ => Err(registry.unexpected(response, Access::Push).await),
            }
        })
        .await
}

async fn upload(registry: &Registry, part: &Part, meter: &Meter) -> Result<(), Error> {
    let url = registry.address("blobs/uploads/");
    let size = part.bytes.len() as u64;
    registry
        .with_retries(shown(&url), size, || async {
            let begin = Request::push(Method::POST, url.clone());
            let response = registry.send(&begin).await?;
            if response.status() != StatusCode::ACCEPTED {
                return Err(registry.unexpected(response, Access::Push).await);
            }
            let to = with_digest(location(&response)?, &part.digest);
            let response = put(registry, to, UPLOAD_TYPE, part, meter).await?;
            match response.status() {
                StatusCode::CREATED => Ok(()),
                _ => Err(registry.unexpected(response, Access::Push).await),
            }
        })
        .await
}

/// Adds the digest to an upload's address, and keeps its query.
fn with_digest(mut url: Url, digest: &Digest) -> Url {
    url.query_pairs_mut().append_pair("digest", digest.as_str());
    url
}

async fn put_manifest(
    registry: &Registry,
    part: &Part,
    name: &str,
    meter: &Meter,
) -> Result<(), Error> {
    let url = registry.address(&format!("manifests/{name}"));
    let size = part.bytes.len() as u64;
    registry
        .with_retries(shown(&url), size, || async {
            let response = put(registry, url.clone(), part.media_type, part, meter).await?;
            if response.status() != StatusCode::CREATED {
                return Err(registry.unexpected(response, Access::Push).await);
            }
            match claimed_digest(&response) {
                Some(claimed) if !is_digest_of(&claimed, &part.digest, &part.bytes) => {
                    Err(Error::content(
                        format!("the manifest {name} as it was stored"),
                        ContentError::Claim {
                            claimed,
                            actual: part.digest.clone(),
                        },
                    )
                    .into())
                }
                _ => Ok(()),
            }
        })
        .await
}

async fn put(
    registry: &Registry,
    url: Url,
    media_type: &'static str,
    part: &Part,
    meter: &Meter,
) -> Result<reqwest::Response, Failure> {
    let request = Request {
        upload: Some(Upload {
            media_type,
            bytes: part.bytes.clone(),
            meter: meter.clone(),
        }),
        ..Request::push(Method::PUT, url)
    };
    registry.send(&request).await
}
