//! Writes container images without a container engine: OCI image layouts, as folders and as
//! archives that `ctr images import`, `skopeo` and others read.
//!
//! An [`Image`] is some [`Layer`]s and a configuration. A [`Layout`] takes images under their
//! names, one at a time or an index of several platforms. The same files give the same bytes:
//! times, owners and order are fixed. Registries and clusters are out of scope.

mod blob;
mod image;
mod layer;
mod packed;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

pub use image::{Image, Platform};
pub use layer::Layer;
pub use packed::Packed;

use blob::Descriptor;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A folder that is an OCI image layout.
#[derive(Debug)]
pub struct Layout {
    folder: PathBuf,
    manifests: Vec<Value>,
}

impl Layout {
    /// Starts a layout in a folder of its own, and removes earlier content.
    pub fn create(folder: &Path) -> Result<Layout> {
        let make = || {
            if folder.exists() {
                fs::remove_dir_all(folder)?;
            }
            fs::create_dir_all(folder.join("blobs/sha256"))?;
            fs::write(
                folder.join("oci-layout"),
                br#"{"imageLayoutVersion":"1.0.0"}"#,
            )
        };
        make().with_context(|| format!("failed to begin an image in {}", folder.display()))?;
        let mut layout = Layout {
            folder: folder.to_owned(),
            manifests: Vec::new(),
        };
        layout.write_index()?;
        Ok(layout)
    }

    /// Adds an image of one platform under a reference, such as `example.org/pause:1`.
    pub fn add(&mut self, reference: &str, image: &Image) -> Result<()> {
        let manifest = image.write(&self.folder)?;
        self.name(reference, &manifest)
    }

    /// Adds an index of images; a client pulls the one for its platform.
    pub fn add_index(&mut self, reference: &str, images: &[Image]) -> Result<()> {
        let manifests = images
            .iter()
            .map(|image| Ok(image.write(&self.folder)?.json()))
            .collect::<Result<Vec<_>>>()?;
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        let index = Descriptor::write_json(&self.folder, INDEX, &index)?;
        self.name(reference, &index)
    }

    /// Packs the folder into one file.
    pub fn archive(&self, file: &Path) -> Result<()> {
        pack(&self.folder, file).with_context(|| format!("failed to write {}", file.display()))
    }

    fn name(&mut self, reference: &str, what: &Descriptor) -> Result<()> {
        let tag = reference.rsplit_once(':').map_or(reference, |(_, tag)| tag);
        let mut named = what.json();
        named["annotations"] = json!({
            "org.opencontainers.image.ref.name": tag,
            // containerd reads this one; the standard annotation above has no room for a whole
            // reference.
            "io.containerd.image.name": reference,
        });
        self.manifests.push(named);
        self.write_index()
    }

    fn write_index(&mut self) -> Result<()> {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests });
        let file = self.folder.join("index.json");
        fs::write(&file, index.to_string())
            .with_context(|| format!("failed to write {}", file.display()))
    }
}

/// Packs a folder that is an image layout, from any writer, into one file.
pub fn pack(folder: &Path, file: &Path) -> io::Result<()> {
    let mut archive = tar::Builder::new(BufWriter::new(File::create(file)?));
    archive.mode(tar::HeaderMode::Deterministic);
    pack_folder(&mut archive, folder, Path::new(""))?;
    archive.into_inner()?.flush()
}

fn pack_folder<W: io::Write>(
    archive: &mut tar::Builder<W>,
    folder: &Path,
    inside: &Path,
) -> io::Result<()> {
    let entries = fs::read_dir(folder.join(inside))?;
    let entries = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let mut names = entries.collect::<io::Result<Vec<_>>>()?;
    // The file system lists a folder in any order.
    names.sort();
    for name in names {
        let inside = inside.join(name);
        let path = folder.join(&inside);
        if path.is_dir() {
            archive.append_dir(&inside, &path)?;
            pack_folder(archive, folder, &inside)?;
        } else {
            archive.append_path_with_name(&path, &inside)?;
        }
    }
    Ok(())
}

/// Whether a folder is an image layout.
pub fn is_layout(folder: &Path) -> bool {
    folder.join("oci-layout").is_file() && folder.join("index.json").is_file()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use sha2::{Digest as _, Sha256};

    use super::*;

    fn image(folder: &Path) -> Image {
        let program = folder.join("program");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        let layer = Layer::new()
            .folder("tmp", 0o1777)
            .file("bin/program", &program, 0o755)
            .link("bin/other", "program")
            .text("etc/passwd", "nobody:x:65532:65532::/:/bin/false\n", 0o644);
        Image::new(Platform::linux("amd64"))
            .layer(layer)
            .entrypoint(["/bin/program"])
            .environment("PATH", "/bin")
            .user("65532:65532")
    }

    fn read(folder: &Path, descriptor: &Value) -> Vec<u8> {
        let digest = descriptor["digest"].as_str().unwrap();
        let (algorithm, hex) = digest.split_once(':').unwrap();
        let bytes = fs::read(folder.join("blobs").join(algorithm).join(hex)).unwrap();
        assert_eq!(descriptor["size"], bytes.len());
        assert_eq!(hex::encode(Sha256::digest(&bytes)), hex);
        bytes
    }

    fn json_of(folder: &Path, descriptor: &Value) -> Value {
        serde_json::from_slice(&read(folder, descriptor)).unwrap()
    }

    #[test]
    fn a_layout_leads_from_the_name_to_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let layout_folder = folder.path().join("layout");
        let mut layout = Layout::create(&layout_folder).unwrap();
        layout
            .add("example.org/program:1", &image(folder.path()))
            .unwrap();
        assert!(is_layout(&layout_folder));

        let index = fs::read(layout_folder.join("index.json")).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        let named = &index["manifests"][0];
        let annotations = &named["annotations"];
        assert_eq!(
            annotations["io.containerd.image.name"],
            "example.org/program:1"
        );
        assert_eq!(annotations["org.opencontainers.image.ref.name"], "1");
        let manifest = json_of(&layout_folder, named);
        let config = json_of(&layout_folder, &manifest["config"]);
        assert_eq!(config["os"], "linux");
        assert_eq!(config["architecture"], "amd64");
        assert_eq!(config["config"]["Entrypoint"], json!(["/bin/program"]));
        assert_eq!(config["config"]["Env"], json!(["PATH=/bin"]));
        assert_eq!(config["config"]["User"], "65532:65532");

        let packed = read(&layout_folder, &manifest["layers"][0]);
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice())
            .read_to_end(&mut unpacked)
            .unwrap();
        let id = format!("sha256:{}", hex::encode(Sha256::digest(&unpacked)));
        assert_eq!(config["rootfs"]["diff_ids"], json!([id]));
        let mut archive = tar::Archive::new(unpacked.as_slice());
        let modes: BTreeMap<_, _> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let path = entry.path().unwrap().into_owned();
                (path.display().to_string(), entry.header().mode().unwrap())
            })
            .collect();
        let expected = [
            ("bin/", 0o755),
            ("bin/other", 0o777),
            ("bin/program", 0o755),
            ("etc/", 0o755),
            ("etc/passwd", 0o644),
            ("tmp/", 0o1777),
        ];
        let expected = expected.map(|(path, mode)| (path.to_owned(), mode));
        assert_eq!(modes, BTreeMap::from(expected));
    }

    #[test]
    fn the_same_files_make_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let index = |name: &str| {
            let layout_folder = folder.path().join(name);
            let mut layout = Layout::create(&layout_folder).unwrap();
            let images = [
                image(folder.path()),
                Image::new(Platform::linux("arm64")).layer(Layer::new().text("a", "b", 0o600)),
            ];
            layout.add_index("example.org/program:1", &images).unwrap();
            layout.archive(&folder.path().join("archive")).unwrap();
            let archived = fs::read(folder.path().join("archive")).unwrap();
            (
                fs::read(layout_folder.join("index.json")).unwrap(),
                archived,
            )
        };
        let (first, second) = (index("first"), index("second"));
        assert_eq!(first, second);
        let first: Value = serde_json::from_slice(&first.0).unwrap();
        let platforms = json_of(&folder.path().join("first"), &first["manifests"][0]);
        assert_eq!(
            platforms["manifests"][1]["platform"],
            json!({ "os": "linux", "architecture": "arm64" })
        );
    }
}
