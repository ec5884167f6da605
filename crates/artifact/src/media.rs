//! Media types that are written and read.
//!
//! Unlisted types are unsupported.

/// An index of manifests.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// A manifest: of an image or of an artifact.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The configuration of an image.
pub const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A layer of an image.
pub const TAR_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// A layer of an image, in gzip.
pub const GZIP_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The configuration of a Wasm artifact, as the CNCF's working group defines it.
pub const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// The layer of a Wasm artifact: the `.wasm` itself.
pub const WASM_LAYER: &str = "application/wasm";

/// Types of layers that are a `.wasm`: the current one, and those of earlier tools.
const WASM_LAYERS: [&str; 3] = [
    WASM_LAYER,
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
];
const INDEXES: [&str; 2] = [
    INDEX,
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
const MANIFESTS: [&str; 2] = [
    MANIFEST,
    "application/vnd.docker.distribution.manifest.v2+json",
];
const PLAIN_TAR: [&str; 2] = [TAR_LAYER, "application/vnd.docker.image.rootfs.diff.tar"];
const GZIP_TAR: [&str; 2] = [
    GZIP_LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
];

/// Whether a layer of this type is a `.wasm`.
pub fn is_wasm_layer(media_type: &str) -> bool {
    WASM_LAYERS.contains(&media_type)
}

/// Whether this is the type of an index.
pub(crate) fn is_index(media_type: &str) -> bool {
    INDEXES.contains(&media_type)
}

/// Whether this is the type of a manifest.
pub(crate) fn is_manifest(media_type: &str) -> bool {
    MANIFESTS.contains(&media_type)
}

/// The compression of an image's layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LayerCompression {
    /// An uncompressed tar archive.
    Plain,
    /// A tar archive in gzip.
    Gzip,
}

/// The compression of a layer of this type; `None` if it is not a supported archive.
pub(crate) fn compression(media_type: &str) -> Option<LayerCompression> {
    if PLAIN_TAR.contains(&media_type) {
        Some(LayerCompression::Plain)
    } else if GZIP_TAR.contains(&media_type) {
        Some(LayerCompression::Gzip)
    } else {
        None
    }
}

/// The Accept header of a request for a manifest.
pub(crate) fn accepted() -> String {
    [INDEXES, MANIFESTS].concat().join(", ")
}
