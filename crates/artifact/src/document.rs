//! JSON documents of the OCI image specification: the fields that are written and read here.
//!
//! Maps are sorted and fields have a fixed order, so that equal content is equal bytes. The users
//! of these types validate what they read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Annotations, in the order of their keys.
pub(crate) type Annotations = BTreeMap<String, String>;

/// Refers to a blob or a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) annotations: Option<Annotations>,
}

/// The platform of a manifest in an index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Platform {
    #[serde(default)]
    pub(crate) architecture: String,
    #[serde(default)]
    pub(crate) os: String,
}

/// An index or a manifest. Fields of the other one are empty.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Root {
    pub(crate) schema_version: u64,
    #[serde(default)]
    pub(crate) media_type: Option<String>,
    #[serde(default)]
    pub(crate) manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    pub(crate) config: Option<Descriptor>,
    #[serde(default)]
    pub(crate) layers: Option<Vec<Descriptor>>,
}

/// An index, for writing.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u64,
    pub(crate) media_type: &'static str,
    pub(crate) manifests: Vec<Descriptor>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: Annotations,
}

/// A manifest, for writing.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u64,
    pub(crate) media_type: &'static str,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: Annotations,
}

/// The configuration of an image, for writing.
#[derive(Debug, Serialize)]
pub(crate) struct ImageConfig {
    pub(crate) created: &'static str,
    pub(crate) architecture: &'static str,
    pub(crate) os: &'static str,
    pub(crate) config: Execution,
    pub(crate) rootfs: RootFs,
    pub(crate) history: Vec<History>,
}

/// The process of an image.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Execution {
    pub(crate) entrypoint: Vec<String>,
    pub(crate) working_dir: &'static str,
}

/// The unpacked layers of an image.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RootFs {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) diff_ids: Vec<Digest>,
}

/// The origin of an image's layer.
#[derive(Debug, Serialize)]
pub(crate) struct History {
    pub(crate) created: &'static str,
    pub(crate) created_by: &'static str,
}

/// The configuration of an image, for reading.
#[derive(Debug, Deserialize)]
pub(crate) struct ReadImageConfig {
    #[serde(default)]
    pub(crate) config: Option<ReadExecution>,
    pub(crate) rootfs: RootFs,
}

/// The process of an image, for reading.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReadExecution {
    #[serde(default)]
    pub(crate) entrypoint: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) cmd: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) env: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) working_dir: Option<String>,
}

/// The configuration of a Wasm artifact, for writing.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WasmConfig {
    pub(crate) created: &'static str,
    pub(crate) architecture: &'static str,
    pub(crate) os: &'static str,
    pub(crate) layer_digests: Vec<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) component: Option<WasmComponent>,
}

/// Imports and exports of a component.
#[derive(Debug, Serialize)]
pub(crate) struct WasmComponent {
    pub(crate) exports: Vec<String>,
    pub(crate) imports: Vec<String>,
}
