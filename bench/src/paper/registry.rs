//! Reads the size of an image in its registry: the bytes that a node fetches, and the bytes that
//! are kept.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::http_client::Connection;

/// The accepted media types of manifests and indexes.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// Bytes of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// The index, and the manifest, configuration and layers of this platform.
    pub(super) fetched: u64,
    /// The index, and those of all platforms, each blob once.
    pub(super) stored: u64,
}

/// The relevant part of a manifest or an index.
#[derive(Clone, Debug, Default, Deserialize)]
struct Document {
    #[serde(default)]
    manifests: Vec<Descriptor>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Clone, Debug, Deserialize)]
struct Descriptor {
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Clone, Debug, Deserialize)]
struct Platform {
    os: String,
    architecture: String,
}

/// Reads the sizes of an image from a registry.
pub(super) async fn size(registry: &str, image: &str) -> Result<Size> {
    let (repository, tag) = split(registry, image)?;
    let mut connection = Connection::open(registry.parse()?).await?;
    let (length, top) = document(&mut connection, &repository, &tag).await?;
    if top.config.is_some() {
        return Ok(of_manifest(length, &top));
    }
    let mut parts = Vec::new();
    for manifest in &top.manifests {
        let (_, document) = document(&mut connection, &repository, &manifest.digest).await?;
        parts.push((manifest.clone(), document));
    }
    of_index(length, &parts, platform())
        .with_context(|| format!("failed to find the size of {image}"))
}

async fn document(
    connection: &mut Connection,
    repository: &str,
    reference: &str,
) -> Result<(u64, Document)> {
    let path = format!("/v2/{repository}/manifests/{reference}");
    let (answer, _) = connection.get_as(&path, ACCEPT).await?;
    ensure!(
        answer.status().is_success(),
        "the registry answers {} for {path}",
        answer.status()
    );
    let body = answer.into_body();
    let document = serde_json::from_slice(&body)
        .with_context(|| format!("{path} is neither a manifest nor an index"))?;
    Ok((body.len() as u64, document))
}

/// The repository and the tag or digest of `REGISTRY/REPOSITORY:TAG`.
fn split(registry: &str, image: &str) -> Result<(String, String)> {
    let rest = image.strip_prefix(registry);
    let rest = rest.and_then(|rest| rest.strip_prefix('/'));
    let Some(rest) = rest else {
        bail!("{image} is not in the cluster's registry, {registry}");
    };
    // A digest takes precedence over a tag beside it.
    let (repository, reference) = match rest.split_once('@') {
        Some((repository, digest)) => (repository, digest),
        None => rest
            .split_once(':')
            .with_context(|| format!("{image} has no tag"))?,
    };
    let repository = repository
        .split_once(':')
        .map_or(repository, |(name, _)| name);
    Ok((repository.to_owned(), reference.to_owned()))
}

/// The size of an image without an index, which is fetched whole.
fn of_manifest(length: u64, manifest: &Document) -> Size {
    let blobs: u64 = blobs(manifest).map(|blob| blob.size).sum();
    Size {
        fetched: length + blobs,
        stored: length + blobs,
    }
}

/// The size of an image with an index; `None` when there is no manifest for the platform.
fn of_index(
    length: u64,
    parts: &[(Descriptor, Document)],
    (os, architecture): (&str, &str),
) -> Option<Size> {
    let mut stored = BTreeMap::new();
    for (manifest, document) in parts {
        stored.insert(&manifest.digest, manifest.size);
        stored.extend(blobs(document).map(|blob| (&blob.digest, blob.size)));
    }
    let (manifest, document) = parts.iter().find(|(manifest, _)| {
        let platform = manifest.platform.as_ref();
        platform.is_some_and(|found| found.os == os && found.architecture == architecture)
    })?;
    let blobs: u64 = blobs(document).map(|blob| blob.size).sum();
    Some(Size {
        fetched: length + manifest.size + blobs,
        stored: length + stored.values().sum::<u64>(),
    })
}

fn blobs(manifest: &Document) -> impl Iterator<Item = &Descriptor> {
    manifest.config.iter().chain(&manifest.layers)
}

/// The names of this machine's platform in images.
fn platform() -> (&'static str, &'static str) {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    ("linux", architecture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_taken_apart_at_its_registry_and_its_tag() {
        fn check(image: &str, expected: Option<(&str, &str)>) {
            let found = split("127.0.0.1:5000", image).ok();
            let found = found
                .as_ref()
                .map(|(name, tag)| (name.as_str(), tag.as_str()));
            assert_eq!(found, expected, "{image}");
        }
        check("127.0.0.1:5000/bench/aes:wasm", Some(("bench/aes", "wasm")));
        check("127.0.0.1:5000/a:t@sha256:00", Some(("a", "sha256:00")));
        check("127.0.0.1:5000/a@sha256:00", Some(("a", "sha256:00")));
        check("127.0.0.1:5000/a", None);
        check("registry.example/a:t", None);
    }

    #[test]
    fn a_node_fetches_its_platform_and_shared_blobs_are_kept_once() {
        let descriptor = |digest: &str, size, platform: Option<(&str, &str)>| Descriptor {
            digest: digest.to_owned(),
            size,
            platform: platform.map(|(os, architecture)| Platform {
                os: os.to_owned(),
                architecture: architecture.to_owned(),
            }),
        };
        let manifest = |config: &str, layer: &str| Document {
            manifests: Vec::new(),
            config: Some(descriptor(config, 10, None)),
            layers: vec![descriptor(layer, 1000, None)],
        };
        let parts = [
            (
                descriptor("m1", 100, Some(("linux", "amd64"))),
                manifest("c1", "layer"),
            ),
            (
                descriptor("m2", 100, Some(("linux", "arm64"))),
                manifest("c2", "layer"),
            ),
        ];
        let size = Size {
            fetched: 7 + 100 + 10 + 1000,
            stored: 7 + 200 + 20 + 1000,
        };
        assert_eq!(of_index(7, &parts, ("linux", "arm64")), Some(size));
        assert_eq!(of_index(7, &parts, ("wasip2", "wasm")), None);
        let alone = of_manifest(50, &manifest("c", "l"));
        assert_eq!((alone.fetched, alone.stored), (1060, 1060));
    }
}
