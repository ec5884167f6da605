//! Packs a `.wasm` for a registry: as a Wasm artifact, or as ordinary images.
//!
//! Pure and reproducible: times are fixed, maps are sorted, and one implementation at one level
//! compresses the images' layer. The digest of a function changes only with the function or the
//! compressor.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use serde::Serialize;

use crate::archive;
use crate::digest::Digest;
use crate::document::{
    Annotations, Descriptor, Execution, History, ImageConfig, Index, Manifest, Platform, RootFs,
    WasmComponent, WasmConfig,
};
use crate::layout::Layout;
use crate::media;

/// The creation time in all documents.
const EPOCH: &str = "1970-01-01T00:00:00Z";
/// The architectures of the image manifests. All share one layer.
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];
/// The architecture of the Wasm artifact.
const WASM_ARCHITECTURE: &str = "wasm";
/// The annotation of a layer with its file's name, under which `oras` writes it.
const TITLE: &str = "org.opencontainers.image.title";

/// A function to pack.
#[derive(Clone, Debug)]
pub struct Source {
    /// The function's name: the file in the image is `/NAME.wasm`.
    pub name: sampan_spec::FunctionName,
    /// The bytes of the `.wasm`.
    pub wasm: Bytes,
    /// Whether it is a component; otherwise it is a core module.
    pub component: bool,
    /// The names of its imports, for the artifact's configuration.
    pub imports: Vec<String>,
    /// The names of its exports.
    pub exports: Vec<String>,
    /// Annotations of each manifest and of an index, such as `org.opencontainers.image.source`.
    pub annotations: Annotations,
}

/// A blob or a manifest with its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its media type.
    pub media_type: &'static str,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its bytes.
    pub bytes: Bytes,
}

/// All parts to push, in the order in which a registry accepts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Layers and configurations, each once.
    pub blobs: Vec<Part>,
    /// The manifests that an index names.
    pub manifests: Vec<Part>,
    /// The manifest or the index that a tag names. Its digest is the function's.
    pub root: Part,
    /// The digest of the `.wasm` itself.
    pub wasm: Digest,
}

impl Artifact {
    /// Packs a function.
    ///
    /// # Errors
    ///
    /// When the documents cannot be written as JSON or the layer as an archive.
    pub fn build(source: &Source, layout: Layout) -> Result<Self, BuildError> {
        match layout {
            Layout::Artifact => Self::wasm_artifact(source),
            Layout::Image => Self::images(source),
        }
    }

    /// One manifest without a platform. Clients of Wasm artifacts take the `linux/amd64` entry of an
    /// index, so an index would hide it from them.
    fn wasm_artifact(source: &Source) -> Result<Self, BuildError> {
        let wasm = Part::new(media::WASM_LAYER, source.wasm.clone());
        let config = Part::json(media::WASM_CONFIG, &wasm_config(source, &wasm.digest))?;
        let layer = Descriptor {
            annotations: Some([(TITLE.to_owned(), file_name(source))].into()),
            ..wasm.descriptor()
        };
        let root = manifest(source, &config, layer)?;
        Ok(Self {
            wasm: wasm.digest.clone(),
            blobs: vec![wasm, config],
            manifests: Vec::new(),
            root,
        })
    }

    /// An index of one image for each architecture. All have the same layer.
    fn images(source: &Source) -> Result<Self, BuildError> {
        let tar = archive::write(&file_name(source), &source.wasm)?;
        let unpacked = Digest::of(&tar);
        let layer = Part::new(media::GZIP_LAYER, gzip(&tar)?.into());
        let mut blobs = vec![layer.clone()];
        let mut manifests = Vec::new();
        let mut entries = Vec::new();
        for architecture in ARCHITECTURES {
            let config = image_config(source, &unpacked, architecture);
            let config = Part::json(media::IMAGE_CONFIG, &config)?;
            let manifest = manifest(source, &config, layer.descriptor())?;
            entries.push(Descriptor {
                platform: Some(Platform {
                    architecture: architecture.to_owned(),
                    os: "linux".to_owned(),
                }),
                ..manifest.descriptor()
            });
            blobs.push(config);
            manifests.push(manifest);
        }
        let index = Index {
            schema_version: 2,
            media_type: media::INDEX,
            manifests: entries,
            annotations: source.annotations.clone(),
        };
        Ok(Self {
            blobs,
            manifests,
            root: Part::json(media::INDEX, &index)?,
            wasm: Digest::of(&source.wasm),
        })
    }

    /// The bytes to push if the registry has none of the parts.
    pub fn size(&self) -> u64 {
        let parts = self.blobs.iter().chain(&self.manifests).chain([&self.root]);
        parts.map(|part| part.bytes.len() as u64).sum()
    }
}

/// The name of the file in an image, and of the artifact's layer.
fn file_name(source: &Source) -> String {
    format!("{}.wasm", source.name.as_str())
}

fn manifest(source: &Source, config: &Part, layer: Descriptor) -> Result<Part, BuildError> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: media::MANIFEST,
        config: config.descriptor(),
        layers: vec![layer],
        annotations: source.annotations.clone(),
    };
    Part::json(media::MANIFEST, &manifest)
}

impl Part {
    fn new(media_type: &'static str, bytes: Bytes) -> Self {
        Self {
            media_type,
            digest: Digest::of(&bytes),
            bytes,
        }
    }

    fn json(media_type: &'static str, value: &impl Serialize) -> Result<Self, BuildError> {
        let bytes = serde_json::to_vec(value).map_err(BuildError::Json)?;
        Ok(Self::new(media_type, bytes.into()))
    }

    fn descriptor(&self) -> Descriptor {
        Descriptor {
            media_type: self.media_type.to_owned(),
            digest: self.digest.clone(),
            size: self.bytes.len() as u64,
            platform: None,
            annotations: None,
        }
    }
}

/// Reasons why a function cannot be packed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A document could not be written.
    #[error("the manifest cannot be written as JSON")]
    Json(#[source] serde_json::Error),
    /// The layer could not be written.
    #[error("the image's layer cannot be written as an archive")]
    Archive(#[from] std::io::Error),
}

/// Compresses a layer. The header has no name, time or system, so that the bytes depend on nothing
/// else.
fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let builder = GzBuilder::new().operating_system(255);
    let mut encoder = builder.write(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn image_config(source: &Source, unpacked: &Digest, architecture: &'static str) -> ImageConfig {
    ImageConfig {
        created: EPOCH,
        architecture,
        os: "linux",
        config: Execution {
            entrypoint: vec![format!("/{}", file_name(source))],
            working_dir: "/",
        },
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids: vec![unpacked.clone()],
        },
        history: vec![History {
            created: EPOCH,
            created_by: "sampan push",
        }],
    }
}

fn wasm_config(source: &Source, layer: &Digest) -> WasmConfig {
    WasmConfig {
        created: EPOCH,
        architecture: WASM_ARCHITECTURE,
        os: if source.component { "wasip2" } else { "wasip1" },
        layer_digests: vec![layer.clone()],
        component: source.component.then(|| WasmComponent {
            exports: source.exports.clone(),
            imports: source.imports.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use serde_json::{Value, json};

    use super::*;

    fn source() -> Source {
        Source {
            name: "hello".parse().expect("a name"),
            wasm: Bytes::from_static(b"\0asm\x0d\0\x01\0"),
            component: true,
            imports: vec!["wasi:cli/environment@0.2.0".into()],
            exports: vec!["wasi:http/incoming-handler@0.2.0".into()],
            annotations: [
                ("b".to_owned(), "2".to_owned()),
                ("a".to_owned(), "1".to_owned()),
            ]
            .into(),
        }
    }

    fn json_of(part: &Part) -> Value {
        serde_json::from_slice(&part.bytes).expect("JSON")
    }

    fn built(layout: Layout) -> Artifact {
        Artifact::build(&source(), layout).expect("an artifact")
    }

    #[test]
    fn equal_input_is_equal_bytes() {
        // A change of these digests, also by another compressor, changes the digest of every user's
        // function.
        for (layout, expected) in [
            (
                Layout::Artifact,
                "sha256:94962fe0605dcddd6a932d52aed170a7b111e6635a574e527e3fafc3e0acab25",
            ),
            (
                Layout::Image,
                "sha256:6c01ae180c30a154ca3342d630fa9ac16ac725c4ed11bca2d0cdecaa43422a3d",
            ),
        ] {
            assert_eq!(built(layout), built(layout));
            assert_eq!(built(layout).root.digest.as_str(), expected, "{layout:?}");
        }
    }

    #[test]
    fn the_artifact_is_one_manifest_over_the_file_itself() {
        let artifact = built(Layout::Artifact);
        assert!(artifact.manifests.is_empty());
        assert_eq!(artifact.root.media_type, media::MANIFEST);
        let manifest = json_of(&artifact.root);
        assert_eq!(manifest["config"]["mediaType"], media::WASM_CONFIG);
        assert_eq!(
            manifest["layers"],
            json!([{
                "mediaType": media::WASM_LAYER,
                "digest": Digest::of(&source().wasm),
                "size": source().wasm.len(),
                "annotations": { "org.opencontainers.image.title": "hello.wasm" },
            }])
        );
        assert_eq!(manifest["annotations"], json!({"a": "1", "b": "2"}));
    }

    #[test]
    fn the_index_holds_two_images_of_one_layer() {
        let artifact = built(Layout::Image);
        let index = json_of(&artifact.root);
        let platforms: Vec<(&str, &str)> = index["manifests"]
            .as_array()
            .expect("manifests")
            .iter()
            .map(|entry| {
                let text = |key: &str| entry["platform"][key].as_str().expect("a platform");
                (text("os"), text("architecture"))
            })
            .collect();
        assert_eq!(platforms, [("linux", "amd64"), ("linux", "arm64")]);
        let manifests: Vec<Value> = artifact.manifests.iter().map(json_of).collect();
        assert_eq!(manifests[0]["layers"], manifests[1]["layers"]);
        assert_eq!(manifests[0]["layers"][0]["mediaType"], media::GZIP_LAYER);
        assert_eq!(index["annotations"], json!({"a": "1", "b": "2"}));
        assert_eq!(artifact.wasm, Digest::of(&source().wasm));
    }

    #[test]
    fn the_layer_unpacks_to_the_configured_files() {
        let artifact = built(Layout::Image);
        let part = |kind: &str| {
            let mut parts = artifact.blobs.iter();
            parts.find(|part| part.media_type == kind).expect(kind)
        };
        let packed = &part(media::GZIP_LAYER).bytes;
        let mut tar = Vec::new();
        let read = GzDecoder::new(&packed[..]).read_to_end(&mut tar);
        read.expect("it is in gzip");
        let config = json_of(part(media::IMAGE_CONFIG));
        assert_eq!(config["rootfs"]["diff_ids"], json!([Digest::of(&tar)]));
        assert_eq!(
            tar,
            archive::write("hello.wasm", &source().wasm).expect("a layer")
        );
    }

    #[test]
    fn every_descriptor_leads_to_a_part() {
        for layout in [Layout::Artifact, Layout::Image] {
            let artifact = built(layout);
            let known = |descriptor: &Value| {
                let parts = || artifact.blobs.iter().chain(&artifact.manifests);
                parts().any(|part| {
                    part.digest.as_str() == descriptor["digest"]
                        && part.bytes.len() as u64 == descriptor["size"]
                        && part.media_type == descriptor["mediaType"]
                })
            };
            let root = json_of(&artifact.root);
            for entry in root["manifests"].as_array().into_iter().flatten() {
                assert!(known(entry), "{entry}");
            }
            for manifest in artifact.manifests.iter().chain([&artifact.root]) {
                let manifest = json_of(manifest);
                if manifest.get("manifests").is_none() {
                    assert!(known(&manifest["config"]), "{manifest}");
                    assert!(known(&manifest["layers"][0]), "{manifest}");
                }
            }
        }
    }

    #[test]
    fn a_core_module_has_the_system_wasip1() {
        let module = Source {
            component: false,
            ..source()
        };
        let artifact = Artifact::build(&module, Layout::Artifact).expect("an artifact");
        let config = artifact
            .blobs
            .iter()
            .find(|part| part.media_type == media::WASM_CONFIG);
        let config = json_of(config.expect("a configuration"));
        assert_eq!(config["os"], "wasip1");
        assert_eq!(config.get("component"), None);
    }
}
