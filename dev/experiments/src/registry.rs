//! Reads the size of an image in its registry: the bytes that a node fetches, and the bytes that
//! are kept.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use oci_spec::image::{Arch, Descriptor, ImageIndex, ImageManifest, Os};
use sampan_measure::http_client::Connection;
use serde::Deserialize;

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

/// What a registry has under a reference.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Document {
    Index(Box<ImageIndex>),
    Manifest(Box<ImageManifest>),
}

/// Reads the sizes of an image from a registry.
pub(super) async fn size(registry: &str, image: &str) -> Result<Size> {
    let (repository, tag) = split(registry, image)?;
    let mut connection = Connection::open(registry.parse()?).await?;
    let (length, top) = document(&mut connection, &repository, &tag).await?;
    let index = match top {
        Document::Index(index) => index,
        Document::Manifest(manifest) => return Ok(of_manifest(length, &manifest)),
    };
    let mut parts = Vec::new();
    for entry in index.manifests() {
        let digest: &str = entry.digest().as_ref();
        let (_, document) = document(&mut connection, &repository, digest).await?;
        let Document::Manifest(manifest) = document else {
            bail!("{image} has an index, {digest}, within its index");
        };
        parts.push((entry.clone(), *manifest));
    }
    of_index(length, &parts, &Os::default(), &Arch::default())
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
fn of_manifest(length: u64, manifest: &ImageManifest) -> Size {
    let blobs: u64 = blobs(manifest).map(Descriptor::size).sum();
    Size {
        fetched: length + blobs,
        stored: length + blobs,
    }
}

/// The size of an image with an index; `None` when there is no manifest for the platform.
fn of_index(
    length: u64,
    parts: &[(Descriptor, ImageManifest)],
    os: &Os,
    architecture: &Arch,
) -> Option<Size> {
    let mut stored: BTreeMap<&str, u64> = BTreeMap::new();
    for (entry, manifest) in parts {
        for blob in std::iter::once(entry).chain(blobs(manifest)) {
            stored.insert(blob.digest().as_ref(), blob.size());
        }
    }
    let (entry, manifest) = parts.iter().find(|(entry, _)| {
        let platform = entry.platform().as_ref();
        platform.is_some_and(|found| found.os() == os && found.architecture() == architecture)
    })?;
    let blobs: u64 = blobs(manifest).map(Descriptor::size).sum();
    Some(Size {
        fetched: length + entry.size() + blobs,
        stored: length + stored.values().sum::<u64>(),
    })
}

fn blobs(manifest: &ImageManifest) -> impl Iterator<Item = &Descriptor> {
    std::iter::once(manifest.config()).chain(manifest.layers())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        let descriptor = |digest: &str, size: u64| json!({ "mediaType": "text/plain", "digest": digest, "size": size });
        let manifest = |config: &str, layer: &str| -> ImageManifest {
            let manifest = json!({
                "schemaVersion": 2,
                "config": descriptor(config, 10),
                "layers": [descriptor(layer, 1000)],
            });
            serde_json::from_value(manifest).unwrap()
        };
        let entry = |digest: &str, architecture: &str| -> Descriptor {
            let mut entry = descriptor(digest, 100);
            entry["platform"] = json!({ "os": "linux", "architecture": architecture });
            serde_json::from_value(entry).unwrap()
        };
        let parts = [
            (entry("test:m1", "amd64"), manifest("test:c1", "test:layer")),
            (entry("test:m2", "arm64"), manifest("test:c2", "test:layer")),
        ];
        let size = Size {
            fetched: 7 + 100 + 10 + 1000,
            stored: 7 + 200 + 20 + 1000,
        };
        let of = |os: &str, architecture: &str| {
            of_index(7, &parts, &Os::from(os), &Arch::from(architecture))
        };
        assert_eq!(of("linux", "arm64"), Some(size));
        assert_eq!(of("wasip2", "wasm"), None);
        let alone = of_manifest(50, &manifest("test:c", "test:l"));
        assert_eq!((alone.fetched, alone.stored), (1060, 1060));
    }

    #[test]
    fn an_index_and_a_manifest_are_told_apart() {
        fn check(document: &serde_json::Value, expected: Option<bool>) {
            let found = serde_json::from_value(document.clone());
            let is_index = found.ok().map(|found| matches!(found, Document::Index(_)));
            assert_eq!(is_index, expected, "{document}");
        }
        let descriptor = json!({ "mediaType": "text/plain", "digest": "test:a", "size": 1 });
        check(
            &json!({ "schemaVersion": 2, "manifests": [descriptor] }),
            Some(true),
        );
        check(
            &json!({ "schemaVersion": 2, "config": descriptor, "layers": [] }),
            Some(false),
        );
        check(&json!({ "schemaVersion": 2 }), None);
    }
}
