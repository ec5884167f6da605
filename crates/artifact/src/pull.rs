//! Pulls a function: from a tag or a digest to the bytes of one `.wasm`.
//!
//! Everything is verified before use: sizes before and while reading, and the digests of manifests,
//! blobs and unpacked layers. Bytes that are not WebAssembly are rejected.

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::archive::{Files, LayerError};
use crate::digest::Digest;
use crate::document::Descriptor;
use crate::error::{ContentError, Error, shown};
use crate::layout::Layout;
use crate::manifest::{self, Image, ManifestError, Target};
use crate::media;
use crate::progress::{Meter, Observer};
use crate::reference::Reference;
use crate::registry::{Access, Expected, Registry, Request};

/// The most bytes of a manifest, as in registries.
const MAX_MANIFEST_BYTES: u64 = 4 << 20;
/// The most bytes of a configuration.
const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// The most bytes of an image's layers beyond the module.
const MAX_OTHER_BYTES: u64 = 8 << 20;
/// The first bytes of every WebAssembly file.
const MAGIC: &[u8] = b"\0asm";

/// A pulled function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The digest of the reference's target.
    pub digest: Digest,
    /// The digest of the `.wasm`.
    pub wasm_digest: Digest,
    /// The `.wasm`.
    pub wasm: Bytes,
    /// The layout in the registry.
    pub layout: Layout,
}

/// Pulls the function of the registry's reference. Its `.wasm` may have `most` bytes.
///
/// # Errors
///
/// [`Error`]; unverified bytes are neither returned nor kept.
pub async fn pull(registry: &Registry, most: u64, observer: &Observer) -> Result<Pulled, Error> {
    let reference = registry.reference();
    let (digest, step) =
        document(registry, name(reference), reference.digest(), None, false).await?;
    let step = match step {
        Target::Manifest(entry) => {
            let name = entry.digest.as_str();
            document(registry, name, Some(&entry.digest), Some(entry.size), true)
                .await?
                .1
        }
        step => step,
    };
    let (wasm, layout) = match step {
        Target::Module(layer) => {
            let expected = expected_blob("the module", &layer, most);
            let meter = Meter::new(observer, 0, layer.size);
            (blob(registry, &expected, &meter).await?, Layout::Artifact)
        }
        Target::Image(image) => (
            from_image(registry, image, most, observer).await?,
            Layout::Image,
        ),
        Target::Manifest(_) => {
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

/// Finds the digest of the registry's reference, with one small request: the registry allows this
/// client to read it, and says what the tag stands for now.
///
/// # Errors
///
/// [`Error`], as for [`pull`].
pub async fn resolve(registry: &Registry) -> Result<Digest, Error> {
    let reference = registry.reference();
    let (digest, _) = document(registry, name(reference), reference.digest(), None, false).await?;
    Ok(digest)
}

/// The name of a reference's manifest: its digest or its tag.
fn name(reference: &Reference) -> &str {
    match reference.digest() {
        Some(digest) => digest.as_str(),
        None => reference.tag().unwrap_or("latest"),
    }
}

/// Reads a manifest or an index by a tag or a digest.
async fn document(
    registry: &Registry,
    name: &str,
    digest: Option<&Digest>,
    size: Option<u64>,
    nested: bool,
) -> Result<(Digest, Target), Error> {
    let expected = Expected {
        what: format!("the manifest {name}"),
        digest: digest.cloned(),
        size,
        limit: MAX_MANIFEST_BYTES,
    };
    expected.check()?;
    let url = registry.address(&format!("manifests/{name}"));
    let request = Request {
        accept: Some(media::accepted()),
        ..Request::get(url.clone())
    };
    let (bytes, digest, media_type) = registry
        .with_retries(shown(&url), 0, || async {
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
            let (bytes, digest) = registry.read(response, &expected, &Meter::silent()).await?;
            Ok((bytes, digest, media_type))
        })
        .await?;
    let announced = media_type.split(';').next().unwrap_or_default().trim();
    let step = manifest::read(&bytes, announced, nested)
        .map_err(|error| Error::content(expected.what, error))?;
    Ok((digest, step))
}

fn expected_blob(what: &str, descriptor: &Descriptor, limit: u64) -> Expected {
    Expected {
        what: what.to_owned(),
        digest: Some(descriptor.digest.clone()),
        size: Some(descriptor.size),
        limit,
    }
}

/// Reads a blob of a manifest.
async fn blob(registry: &Registry, expected: &Expected, meter: &Meter) -> Result<Bytes, Error> {
    expected.check()?;
    let digest = expected.digest.as_ref().map_or("", Digest::as_str);
    let url = registry.address(&format!("blobs/{digest}"));
    let request = Request::get(url.clone());
    let size = expected.size.unwrap_or(expected.limit);
    registry
        .with_retries(shown(&url), size, || async {
            let response = registry.send(&request).await?;
            match response.status() {
                StatusCode::OK => {}
                _ => return Err(registry.unexpected(response, Access::Pull).await),
            }
            Ok(registry.read(response, expected, meter).await?.0)
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
    let expected = expected_blob(what, &image.config, MAX_CONFIG_BYTES);
    let config = blob(registry, &expected, &Meter::silent()).await?;
    let contents = manifest::read_config(&config, image.layers.len())
        .map_err(|error| Error::content(what, error))?;
    let limit = most.saturating_add(MAX_OTHER_BYTES);
    // All layers are checked before the first is requested.
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
    let mut files = Files::new(contents.modules, limit);
    let mut before = 0;
    for ((layer, compression), unpacked) in image.layers.into_iter().zip(contents.unpacked) {
        let what = format!("the layer {}", layer.digest);
        let meter = Meter::new(observer, before, total);
        let bytes = blob(registry, &expected_blob(&what, &layer, limit), &meter).await?;
        before += layer.size;
        // Unpacking takes processor time, which must not delay the connections.
        let read = tokio::task::spawn_blocking(move || {
            files
                .apply_layer(&bytes, compression, &unpacked)
                .map(|()| files)
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
