//! The module of an image that is a WebAssembly artifact: such an image has no files, so its one layer
//! is read from containerd's content store.

use std::borrow::Cow;
use std::path::Path;

use containerd_client::services::v1::{GetContainerRequest, GetImageRequest, ReadContentRequest};
use containerd_client::tonic::{Code, Request, Status};
use containerd_client::{Client, with_namespace};
use serde::Deserialize;
use sha2::{Digest as _, Sha256, Sha512};

/// The media type of a layer that is a module.
const WASM: &str = "application/wasm";

/// The largest manifest or index.
const MANIFEST: u64 = 4 << 20;

/// Why an image's module cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImageError {
    /// containerd does not answer.
    #[error("containerd cannot be asked for the image: {0}")]
    Connect(#[source] containerd_client::tonic::transport::Error),
    /// containerd answers with an error.
    #[error("containerd has no {what}: {}", status.message())]
    Status { what: String, status: Box<Status> },
    /// What it has is something else.
    #[error("the content {digest} does not have that digest")]
    Digest { digest: String },
    /// It cannot be checked.
    #[error("the content {digest} has a digest that is neither of SHA-256 nor of SHA-512")]
    Algorithm { digest: String },
    /// It is larger than allowed.
    #[error("the content {digest} has {size} bytes, and {limit} are allowed")]
    Size {
        digest: String,
        size: u64,
        limit: u64,
    },
    /// A manifest is none.
    #[error("the manifest {digest} cannot be read: {source}")]
    Manifest {
        digest: String,
        source: serde_json::Error,
    },
    /// There is no runtime to ask with.
    #[error("containerd cannot be asked for the image: {0}")]
    Runtime(#[source] std::io::Error),
}

/// A container's image, and the containerd that has it.
pub(super) struct Image<'a> {
    /// containerd's socket.
    pub(super) address: &'a Path,
    pub(super) namespace: &'a str,
    /// The image's name as the pod has it; without it, the container's.
    pub(super) name: Option<&'a str>,
    pub(super) container: &'a str,
}

/// A manifest or an index.
#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    manifests: Vec<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

/// Reads the module; `None` when the image has none. Blocks.
pub(super) fn module(image: &Image<'_>, limit: u64) -> Result<Option<Vec<u8>>, ImageError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ImageError::Runtime)?
        .block_on(find(image, limit))
}

async fn find(image: &Image<'_>, limit: u64) -> Result<Option<Vec<u8>>, ImageError> {
    let client = Client::from_path(image.address)
        .await
        .map_err(ImageError::Connect)?;
    let store = Store {
        client,
        namespace: image.namespace,
    };
    let target = match image.name {
        Some(name) => match store.target(&stored_name(name)).await {
            // The pod may have a short name, which containerd has stored in full.
            Err(ImageError::Status { status, .. }) if status.code() == Code::NotFound => {
                store.target_of(image.container).await
            }
            found => found,
        },
        None => store.target_of(image.container).await,
    };
    let Some(target) = target? else {
        return Ok(None);
    };
    let top = store.manifest(&target).await?;
    let mut layers = top.layers;
    for manifest in &top.manifests {
        // An index names manifests of other platforms, which were not pulled.
        match store.manifest(&manifest.digest).await {
            Ok(manifest) => layers.extend(manifest.layers),
            Err(ImageError::Status { status, .. }) if status.code() == Code::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    let Some(layer) = layers.iter().find(|layer| layer.media_type == WASM) else {
        return Ok(None);
    };
    if layer.size > limit {
        return Err(ImageError::Size {
            digest: layer.digest.clone(),
            size: layer.size,
            limit,
        });
    }
    store.read(&layer.digest, limit).await.map(Some)
}

struct Store<'a> {
    client: Client,
    namespace: &'a str,
}

impl Store<'_> {
    async fn image_of(&self, container: &str) -> Result<String, ImageError> {
        let request = GetContainerRequest {
            id: container.to_owned(),
        };
        let answer = self
            .client
            .containers()
            .get(with_namespace!(request, self.namespace))
            .await
            .map_err(refused(format!("container {container}")))?;
        Ok(answer.into_inner().container.unwrap_or_default().image)
    }

    /// The same as [`Store::target`] for a container's image, by the name under which containerd has stored it.
    async fn target_of(&self, container: &str) -> Result<Option<String>, ImageError> {
        let name = self.image_of(container).await?;
        if name.is_empty() {
            return Ok(None);
        }
        self.target(&name).await
    }

    async fn target(&self, name: &str) -> Result<Option<String>, ImageError> {
        let request = GetImageRequest {
            name: name.to_owned(),
        };
        let answer = self
            .client
            .images()
            .get(with_namespace!(request, self.namespace))
            .await
            .map_err(refused(format!("image {name}")))?;
        let image = answer.into_inner().image.unwrap_or_default();
        Ok(image.target.map(|target| target.digest))
    }

    async fn manifest(&self, digest: &str) -> Result<Manifest, ImageError> {
        let bytes = self.read(digest, MANIFEST).await?;
        serde_json::from_slice(&bytes).map_err(|source| ImageError::Manifest {
            digest: digest.to_owned(),
            source,
        })
    }

    /// Reads content, no more than `limit` bytes of it, and checks its digest.
    async fn read(&self, digest: &str, limit: u64) -> Result<Vec<u8>, ImageError> {
        let request = ReadContentRequest {
            digest: digest.to_owned(),
            offset: 0,
            size: 0,
        };
        let failed = || refused(format!("content {digest}"));
        let answer = self
            .client
            .content()
            .read(with_namespace!(request, self.namespace))
            .await
            .map_err(failed())?;
        let mut stream = answer.into_inner();
        let mut bytes = Vec::new();
        while let Some(part) = stream.message().await.map_err(failed())? {
            let size = (bytes.len() + part.data.len()) as u64;
            if size > limit {
                return Err(ImageError::Size {
                    digest: digest.to_owned(),
                    size,
                    limit,
                });
            }
            bytes.extend_from_slice(&part.data);
        }
        let digest = digest.to_owned();
        match is_digest_of(&digest, &bytes) {
            Some(true) => Ok(bytes),
            Some(false) => Err(ImageError::Digest { digest }),
            None => Err(ImageError::Algorithm { digest }),
        }
    }
}

/// The name under which containerd's CRI plugin stores an image. Of a name with a tag and a digest it drops the tag, while
/// the container keeps the name that the pod has.
fn stored_name(name: &str) -> Cow<'_, str> {
    let Some((tagged, digest)) = name.split_once('@') else {
        return name.into();
    };
    // A colon before the last slash belongs to the registry's port.
    let path = tagged.rfind('/').map_or(0, |slash| slash + 1);
    match tagged[path..].find(':') {
        Some(colon) => format!("{}@{digest}", &tagged[..path + colon]).into(),
        None => name.into(),
    }
}

/// Whether `digest` is that of `bytes`; `None` for an algorithm other than the two that OCI registers for everybody.
fn is_digest_of(digest: &str, bytes: &[u8]) -> Option<bool> {
    let (algorithm, expected) = digest.split_once(':')?;
    let actual = match algorithm {
        "sha256" => hex::encode(Sha256::digest(bytes)),
        "sha512" => hex::encode(Sha512::digest(bytes)),
        _ => return None,
    };
    Some(actual == expected)
}

fn refused(what: String) -> impl FnOnce(Status) -> ImageError {
    move |status| ImageError::Status {
        what,
        status: Box::new(status),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_digest_of, stored_name};

    #[test]
    fn an_image_with_a_tag_and_a_digest_is_stored_without_the_tag() {
        let check = |name: &str, expected: &str| assert_eq!(stored_name(name), expected);
        check("r.example/a:1@sha256:0", "r.example/a@sha256:0");
        check(
            "r.example:5000/a/b:latest@sha256:0",
            "r.example:5000/a/b@sha256:0",
        );
        check("r.example:5000/a@sha256:0", "r.example:5000/a@sha256:0");
        check("r.example:5000/a:1", "r.example:5000/a:1");
        check("a:1@sha256:0", "a@sha256:0");
        check("a", "a");
        check("sha256:0", "sha256:0");
    }

    #[test]
    fn content_is_checked_by_the_algorithm_of_its_digest() {
        const SHA256: &str =
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        const SHA512: &str = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";
        let check = |digest: &str, bytes: &[u8], expected| {
            assert_eq!(is_digest_of(digest, bytes), expected, "{digest} {bytes:?}");
        };
        for digest in [SHA256, SHA512] {
            check(digest, b"", Some(true));
            check(digest, b"a", Some(false));
        }
        check(&SHA256.replace("sha256", "sha512"), b"", Some(false));
        check(&SHA256.replace("sha256", "blake3"), b"", None);
        check("", b"", None);
    }
}
