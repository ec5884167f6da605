//! Describes an image of one platform: layers, and the configuration of its containers.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::blob::Descriptor;
use super::layer::Layer;
use super::packed::Packed;
use super::{CONFIG, MANIFEST};

/// The platform of an image, with Go's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    os: String,
    architecture: String,
}

impl Platform {
    /// Linux on a processor with Go's name: `amd64`, `arm64`.
    pub fn linux(architecture: &str) -> Platform {
        Platform {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
        }
    }

    /// The platform of this machine.
    pub fn current() -> Platform {
        Platform::linux(match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        })
    }

    /// Go's name of the processor.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    fn json(&self) -> Value {
        json!({ "os": self.os, "architecture": self.architecture })
    }
}

/// A layer of an image.
#[derive(Debug, Clone)]
enum Part {
    Tree(Layer),
    Packed(Packed),
}

/// An image to write into a [`Layout`](super::Layout).
#[derive(Debug, Clone)]
pub struct Image {
    platform: Platform,
    layers: Vec<Part>,
    entrypoint: Vec<String>,
    arguments: Vec<String>,
    environment: Vec<String>,
    user: Option<String>,
    labels: BTreeMap<String, String>,
}

impl Image {
    /// An image without layers.
    pub fn new(platform: Platform) -> Image {
        Image {
            platform,
            layers: Vec::new(),
            entrypoint: Vec::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            user: None,
            labels: BTreeMap::new(),
        }
    }

    /// Adds a layer on top.
    #[must_use]
    pub fn layer(mut self, layer: Layer) -> Image {
        self.layers.push(Part::Tree(layer));
        self
    }

    /// Adds a layer on top that was packed before.
    #[must_use]
    pub fn packed(mut self, layer: Packed) -> Image {
        self.layers.push(Part::Packed(layer));
        self
    }

    /// Sets the entrypoint of a container.
    #[must_use]
    pub fn entrypoint<const N: usize>(mut self, words: [&str; N]) -> Image {
        self.entrypoint = words.map(str::to_owned).to_vec();
        self
    }

    /// Sets the default arguments of the entrypoint.
    #[must_use]
    pub fn arguments<const N: usize>(mut self, words: [&str; N]) -> Image {
        self.arguments = words.map(str::to_owned).to_vec();
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Image {
        self.environment.push(format!("{name}={value}"));
        self
    }

    /// Sets the user, as `UID:GID`.
    #[must_use]
    pub fn user(mut self, user: &str) -> Image {
        self.user = Some(user.to_owned());
        self
    }

    /// Adds a label, such as `org.opencontainers.image.version`.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Image {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Writes the blobs of the image, and returns the descriptor of its manifest.
    pub(super) fn write(&self, layout: &Path) -> Result<Descriptor> {
        let layers = self.layers.iter().map(|layer| match layer {
            Part::Tree(layer) => layer.write(layout),
            Part::Packed(packed) => packed.write(layout),
        });
        let layers = layers.collect::<Result<Vec<_>>>()?;
        let ids: Vec<_> = layers.iter().map(|(_, id)| id).collect();
        let mut config = self.platform.json();
        config["config"] = self.process();
        config["rootfs"] = json!({ "type": "layers", "diff_ids": ids });
        let config = Descriptor::write_json(layout, CONFIG, &config)?;
        let layers: Vec<_> = layers.iter().map(|(layer, _)| layer.json()).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.json(),
            "layers": layers,
        });
        let mut manifest = Descriptor::write_json(layout, MANIFEST, &manifest)?;
        manifest.platform = Some(self.platform.json());
        Ok(manifest)
    }

    fn process(&self) -> Value {
        let mut process = json!({});
        let lists = [
            ("Entrypoint", &self.entrypoint),
            ("Cmd", &self.arguments),
            ("Env", &self.environment),
        ];
        for (name, words) in lists {
            if !words.is_empty() {
                process[name] = json!(words);
            }
        }
        if let Some(user) = &self.user {
            process["User"] = json!(user);
        }
        if !self.labels.is_empty() {
            process["Labels"] = json!(self.labels);
        }
        process
    }
}
