//! Keeps a packed layer in a folder, so that the base of many images is read and compressed once.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::blob::Descriptor;
use super::layer::{LAYER, Layer};

/// The file that describes the layer.
const NOTE: &str = "layer.json";
const BLOBS: &str = "blobs/sha256";

/// A packed layer in its folder.
#[derive(Debug, Clone)]
pub struct Packed {
    folder: PathBuf,
    note: Note,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Note {
    /// The hash of the packed bytes, in hexadecimal digits.
    hash: String,
    size: u64,
    /// The digest of the uncompressed content.
    id: String,
}

impl Packed {
    /// Packs a layer into a folder.
    pub fn make(layer: &Layer, folder: &Path) -> Result<()> {
        let blobs = folder.join(BLOBS);
        fs::create_dir_all(&blobs)
            .with_context(|| format!("failed to make {}", blobs.display()))?;
        let (descriptor, id) = layer.write(folder)?;
        let hash = descriptor.digest.trim_start_matches("sha256:").to_owned();
        let size = descriptor.size;
        let file = folder.join(NOTE);
        fs::write(&file, serde_json::to_vec(&Note { hash, size, id })?)
            .with_context(|| format!("failed to write {}", file.display()))
    }

    /// Opens the packed layer of a folder.
    pub fn open(folder: &Path) -> Result<Packed> {
        let file = folder.join(NOTE);
        let bytes =
            fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
        let note = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} describes no layer", file.display()))?;
        Ok(Packed {
            folder: folder.to_owned(),
            note,
        })
    }

    /// The hash of the packed bytes, in hexadecimal digits.
    pub fn hash(&self) -> &str {
        &self.note.hash
    }

    /// The size of the packed bytes.
    pub fn size(&self) -> u64 {
        self.note.size
    }

    /// Copies the layer to the blobs of a layout, and returns its descriptor and the hash of its
    /// uncompressed content.
    pub(super) fn write(&self, layout: &Path) -> Result<(Descriptor, String)> {
        let blob = |folder: &Path| folder.join(BLOBS).join(&self.note.hash);
        let (from, to) = (blob(&self.folder), blob(layout));
        if !to.exists() {
            fs::copy(&from, &to).with_context(|| format!("failed to copy {}", from.display()))?;
        }
        let descriptor = Descriptor {
            media_type: LAYER,
            digest: format!("sha256:{}", self.note.hash),
            size: self.note.size,
            platform: None,
        };
        Ok((descriptor, self.note.id.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Image, Layout, Platform};
    use super::*;

    #[test]
    fn a_packed_layer_gives_the_same_image_as_its_tree() {
        let folder = tempfile::tempdir().unwrap();
        let tree = Layer::new().text("etc/os-release", "ID=debian\n", 0o644);
        let packed = folder.path().join("packed");
        Packed::make(&tree, &packed).unwrap();
        let packed = Packed::open(&packed).unwrap();
        assert!(packed.size() > 0);
        let index = |name: &str, image: Image| {
            let layout_folder = folder.path().join(name);
            let mut layout = Layout::create(&layout_folder).unwrap();
            layout.add("example.org/base:1", &image).unwrap();
            fs::read(layout_folder.join("index.json")).unwrap()
        };
        let image = Image::new(Platform::linux("amd64"));
        let one = index("one", image.clone().layer(tree));
        assert_eq!(index("other", image.packed(packed)), one);
    }

    #[test]
    fn a_folder_without_a_layer_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = Packed::open(folder.path()).unwrap_err();
        assert!(error.to_string().contains(NOTE), "{error}");
    }
}
