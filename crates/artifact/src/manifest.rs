//! Interprets a registry's documents: finds the layers that contain the module.
//!
//! Pure. Malformed documents, too many layers, and a choice between two modules are rejected.

use std::path::{Component, Path};

use serde::de::DeserializeOwned;

use crate::digest::Digest;
use crate::document::{Descriptor, ReadExecution, ReadImageConfig, Root};
use crate::media::{self, LayerCompression};

/// The most entries of an index.
const MAX_ENTRIES: usize = 256;
/// The most layers of an image.
const MAX_LAYERS: usize = 16;
/// The most folders of `PATH` in which a module is looked for.
const MAX_FOLDERS: usize = 64;
/// `PATH` in a container if its image sets none, as in containerd.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Reasons why a document is rejected.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not JSON of the expected form.
    #[error("it is not the JSON that it should be")]
    Json(#[source] serde_json::Error),
    /// Another version of the specification.
    #[error("it has schema version {0}, and only 2 is understood")]
    Version(u64),
    /// Neither an index nor a manifest.
    #[error("{0:?} is neither an index nor a manifest of an image or artifact")]
    MediaType(String),
    /// More entries or layers than a function can need.
    #[error("it has {count} {things}, and the most is {most}")]
    TooMany {
        /// The kind of items.
        things: &'static str,
        /// Their number.
        count: usize,
        /// The limit.
        most: usize,
    },
    /// An index without a manifest that could be a function's.
    #[error("none of its manifests is for wasm or for linux on amd64 or arm64")]
    NoPlatform,
    /// An index in an index.
    #[error("it is an index, where the index before it promised a manifest")]
    Nested,
    /// A manifest without a supported layer.
    #[error("none of its layers is a module or an archive that can be read; there is {0:?}")]
    NoLayer(String),
    /// Several layers that are modules.
    #[error("{0} of its layers are modules, and nothing says which one is meant")]
    Ambiguous(usize),
    /// The configuration does not name the content of each layer.
    #[error(
        "the image's configuration names {diff_ids} unpacked layers, the manifest has {layers}"
    )]
    DiffIds {
        /// Those of the configuration.
        diff_ids: usize,
        /// Those of the manifest.
        layers: usize,
    },
}

/// The target of a document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Another manifest, from an index.
    Manifest(Descriptor),
    /// A layer that is the module.
    Module(Descriptor),
    /// An image that contains the module as a file.
    Image(Image),
}

/// The parts of an image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<(Descriptor, LayerCompression)>,
}

/// The contents of an image by its configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ImageContents {
    /// Paths of the file that it starts, from the root and without a leading slash. The likeliest
    /// is first.
    pub(crate) modules: Vec<String>,
    /// The digests of the unpacked layers.
    pub(crate) unpacked: Vec<Digest>,
}

/// Reads a document. `announced` is the media type from the registry or an index; `nested` says
/// that the document was reached from an index.
pub(crate) fn read(bytes: &[u8], announced: &str, nested: bool) -> Result<Target, ManifestError> {
    let root: Root = json(bytes)?;
    if root.schema_version != 2 {
        return Err(ManifestError::Version(root.schema_version));
    }
    // The document's own media type has priority: the digest covers it.
    let media_type = root.media_type.unwrap_or_else(|| announced.to_owned());
    match (root.manifests, root.config, root.layers) {
        (Some(_), None, None) if media::is_index(&media_type) && nested => {
            Err(ManifestError::Nested)
        }
        (Some(entries), None, None) if media::is_index(&media_type) => {
            choose(entries).map(Target::Manifest)
        }
        (None, Some(config), Some(layers)) if media::is_manifest(&media_type) => {
            contents(config, layers)
        }
        _ => Err(ManifestError::MediaType(
            media_type.chars().take(96).collect(),
        )),
    }
}

/// Reads an image's configuration.
pub(crate) fn read_config(bytes: &[u8], layers: usize) -> Result<ImageContents, ManifestError> {
    let config: ReadImageConfig = json(bytes)?;
    let diff_ids = config.rootfs.diff_ids.len();
    if diff_ids != layers {
        return Err(ManifestError::DiffIds { diff_ids, layers });
    }
    let execution = config.config.unwrap_or_default();
    Ok(ImageContents {
        modules: modules(&execution),
        unpacked: config.rootfs.diff_ids,
    })
}

/// The places in which the shim looks for the file, in the same order. A name without a slash is
/// looked for in `PATH`, in the working directory and at the root.
fn modules(execution: &ReadExecution) -> Vec<String> {
    let first = |words: &Option<Vec<String>>| words.as_ref()?.first().cloned();
    let Some(program) = first(&execution.entrypoint).or_else(|| first(&execution.cmd)) else {
        return Vec::new();
    };
    let folder = Path::new("/").join(execution.working_dir.as_deref().unwrap_or_default());
    if program.contains('/') {
        return vec![from_root(&folder.join(program))];
    }
    let mut variables = execution.env.iter().flatten();
    let path = variables.find_map(|variable| variable.strip_prefix("PATH="));
    let path = path.unwrap_or(DEFAULT_PATH).split(':').take(MAX_FOLDERS);
    path.chain([".", "/"])
        .map(|name| from_root(&folder.join(name).join(&program)))
        .collect()
}

/// The path without `.`, `..` and a leading slash. Layers with links are rejected, so the text of a
/// path decides.
fn from_root(path: &Path) -> String {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.extend(name.to_str()),
            Component::ParentDir => {
                parts.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    parts.join("/")
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ManifestError> {
    serde_json::from_slice(bytes).map_err(ManifestError::Json)
}

/// The manifest that is most likely a function's: a Wasm artifact, else an image for Linux.
fn choose(entries: Vec<Descriptor>) -> Result<Descriptor, ManifestError> {
    if entries.len() > MAX_ENTRIES {
        return Err(ManifestError::TooMany {
            things: "manifests",
            count: entries.len(),
            most: MAX_ENTRIES,
        });
    }
    let rank = |entry: &Descriptor| {
        if !media::is_manifest(&entry.media_type) {
            return None;
        }
        let Some(platform) = &entry.platform else {
            return Some(4);
        };
        match (platform.os.as_str(), platform.architecture.as_str()) {
            ("wasip2", "wasm") => Some(0),
            (_, "wasm" | "wasm32") => Some(1),
            ("linux", "amd64") => Some(2),
            ("linux", "arm64") => Some(3),
            _ => None,
        }
    };
    entries
        .into_iter()
        .filter_map(|entry| rank(&entry).map(|rank| (rank, entry)))
        // The first of equals, as in containerd.
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, entry)| entry)
        .ok_or(ManifestError::NoPlatform)
}

fn contents(config: Descriptor, layers: Vec<Descriptor>) -> Result<Target, ManifestError> {
    if layers.len() > MAX_LAYERS {
        return Err(ManifestError::TooMany {
            things: "layers",
            count: layers.len(),
            most: MAX_LAYERS,
        });
    }
    let is_module = |layer: &&Descriptor| media::is_wasm_layer(&layer.media_type);
    match layers.iter().filter(is_module).count() {
        0 => {}
        1 => {
            let module = layers.iter().find(is_module).cloned();
            return module
                .map(Target::Module)
                .ok_or(ManifestError::Ambiguous(1));
        }
        several => return Err(ManifestError::Ambiguous(several)),
    }
    let described = |layer: Descriptor| match media::compression(&layer.media_type) {
        Some(compression) => Ok((layer, compression)),
        None => Err(ManifestError::NoLayer(
            layer.media_type.chars().take(96).collect(),
        )),
    };
    let layers = layers
        .into_iter()
        .map(described)
        .collect::<Result<Vec<_>, _>>()?;
    if layers.is_empty() {
        return Err(ManifestError::NoLayer("nothing".to_owned()));
    }
    Ok(Target::Image(Image { config, layers }))
}

#[cfg(test)]
mod tests;
