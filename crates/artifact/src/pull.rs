//! Pulling: from a tag or a digest to the bytes of one `.wasm`.
//!
//! Everything is verified before it is used: sizes before and while reading, digests of manifests, blobs and
//! of what layers unpack to. Refuses to return bytes that are not WebAssembly.

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::archive::{Files, LayerError};
use crate::digest::Digest;
use crate::document::Descriptor;
use crate::error::{ContentError, Error, shown};
use crate::manifest::{self, Image, ManifestError, Step};
use crate::media;
use crate::progress::{Meter, Observer};
use crate::registry::{Access, Registry, Request, Wanted};

/// The most bytes of a manifest, as registries have it.
const MOST_MANIFEST: u64 = 4 << 20;
/// The most bytes of a configuration.
const MOST_CONFIG: u64 = 1 << 20;
/// How much more than the module the layers of an image may hold.
const OTHER_FILES: u64 = 8 << 20;
/// How every file of WebAssembly begins.
const MAGIC: &[u8] = b"\0asm";

/// A function out of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The digest of what the reference leads to.
    pub digest: Digest,
    /// The digest of the `.wasm`.
    pub wasm_digest: Digest,
    /// The `.wasm`.
    pub wasm: Bytes,
    /// Where it was found.
    pub layout: Layout,
}

/// How a function was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As a layer that is the `.wasm`.
    Artifact,
    /// As a file in an image.
    Image,
}

/// Pulls the function of the registry's reference; `most` is how many bytes its `.wasm` may have.
///
/// # Errors
///
/// [`Error`]; nothing that did not verify is returned or kept.
pub async fn pull(registry: &Registry, most: u64, observer: &Observer) -> Result<Pulled, Error> {
    let reference = registry.reference();
    let name = match reference.digest() {
        Some(digest) => digest.as_str(),
        None => reference.tag().unwrap_or("latest"),
    };
    let (digest, step) = document(registry, name, reference.digest(), None, false).await?;
    let step = match step {
        Step::Manifest(entry) => {
            let name = entry.digest.as_str();
            document(registry, name, Some(&entry.digest), Some(entry.size), true)
                .await?
                .1
        }
        step => step,
    };
    let (wasm, layout) = match step {
        Step::Module(layer) => {
            let wanted = blob_wanted("the module", &layer, most);
            let meter = Meter::new(observer, 0, layer.size);
            (blob(registry, &wanted, &meter).await?, Layout::Artifact)
        }
        Step::Image(image) => (
            from_image(registry, image, most, observer).await?,
            Layout::Image,
        ),
        Step::Manifest(_) => {
            return Err(Error::content(reference.to_string(), ManifestError::Nested));
        }
    };
    if !wasm.starts_with(MAGIC) {
        return Err(Error::content(reference.to_string(), ContentError::NotWasm));
    }
    if wasm.len() as u64 > most {
        let size = wasm.len() as u64;
        return Err(Error::content(
            "the module",
            ContentError::Size { size, limit: most },
        ));
    }
    Ok(Pulled {
        digest,
        wasm_digest: Digest::of(&wasm),
        wasm,
        layout,
    })
}

/// Reads a manifest or an index by a tag or a digest.
async fn document(
    registry: &Registry,
    name: &str,
    digest: Option<&Digest>,
    size: Option<u64>,
    nested: bool,
) -> Result<(Digest, Step), Error> {
    let wanted = Wanted {
        what: format!("the manifest {name}"),
        digest: digest.cloned(),
        size,
        limit: MOST_MANIFEST,
    };
    wanted.check()?;
    let url = registry.address(&format!("manifests/{name}"));
    let request = Request {
        accept: Some(media::accepted()),
        ..Request::get(url.clone())
    };
    let (bytes, digest, media_type) = registry
        .patiently(shown(&url), 0, async || {
            let response = registry.send(&request).await?;
            match response.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => {
                    return Err(Error::NotFound(Box::new(registry.reference().clone())).into());
                }
                _ => return Err(registry.unexpected(response, Access::Pull).await),
            }
            let media_type = response.headers().get(CONTENT_TYPE);
            let media_type = media_type.and_then(|value| value.to_str().ok());
            let media_type = media_type.unwrap_or_default().to_owned();
            let (bytes, digest) = registry.read(response, &wanted, &Meter::silent()).await?;
            Ok((bytes, digest, media_type))
        })
        .await?;
    let announced = media_type.split(';').next().unwrap_or_default().trim();
    let step = manifest::read(&bytes, announced, nested)
        .map_err(|error| Error::content(wanted.what, error))?;
    Ok((digest, step))
}

fn blob_wanted(what: &str, descriptor: &Descriptor, limit: u64) -> Wanted {
    Wanted {
        what: what.to_owned(),
        digest: Some(descriptor.digest.clone()),
        size: Some(descriptor.size),
        limit,
    }
}

/// Reads a blob that a manifest names.
async fn blob(registry: &Registry, wanted: &Wanted, meter: &Meter) -> Result<Bytes, Error> {
    wanted.check()?;
    let digest = wanted.digest.as_ref().map_or("", Digest::as_str);
    let url = registry.address(&format!("blobs/{digest}"));
    let request = Request::get(url.clone());
    let size = wanted.size.unwrap_or(wanted.limit);
    registry
        .patiently(shown(&url), size, async || {
            let response = registry.send(&request).await?;
            match response.status() {
                StatusCode::OK => {}
                _ => return Err(registry.unexpected(response, Access::Pull).await),
            }
            Ok(registry.read(response, wanted, meter).await?.0)
        })
        .await
}

async fn from_image(
    registry: &Registry,
    image: Image,
    most: u64,
    observer: &Observer,
) -> Result<Bytes, Error> {
    let what = "the image's configuration";
    let wanted = blob_wanted(what, &image.config, MOST_CONFIG);
    let config = blob(registry, &wanted, &Meter::silent()).await?;
    let contents = manifest::read_config(&config, image.layers.len())
        .map_err(|error| Error::content(what, error))?;
    let limit = most.saturating_add(OTHER_FILES);
    // All layers are checked before the first is asked for.
    let total = image
        .layers
        .iter()
        .fold(0u64, |sum, (layer, _)| sum.saturating_add(layer.size));
    if total > limit {
        return Err(Error::content(
            "the image",
            ContentError::Size { size: total, limit },
        ));
    }
    let mut files = Files::new(contents.entrypoint.as_deref(), limit);
    let mut before = 0;
    for ((layer, packing), unpacked) in image.layers.into_iter().zip(contents.unpacked) {
        let what = format!("the layer {}", layer.digest);
        let meter = Meter::new(observer, before, total);
        let bytes = blob(registry, &blob_wanted(&what, &layer, limit), &meter).await?;
        before += layer.size;
        // Unpacking takes a processor for a while, which is not the connections'.
        let read = tokio::task::spawn_blocking(move || {
            files.lay(&bytes, packing, &unpacked).map(|()| files)
        });
        files = read
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
            .map_err(|error: LayerError| Error::content(what, error))?;
    }
    files.choose().map(Bytes::from).map_err(|found| {
        let found = match found.len() {
            0 => "none".to_owned(),
            _ => found.join(", ").chars().take(300).collect(),
        };
        Error::content("the image", ContentError::NoModule { found })
    })
}
