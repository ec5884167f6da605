//! Packs a tree of files into one layer of an image. Everything belongs to root and has no time, so
//! that the same files give the same layer.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};

use super::blob::{Blob, Descriptor, Hashed};

pub(super) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A tree of files, by their paths without a leading `/`. Parent folders need no entry of their
/// own.
#[derive(Debug, Default, Clone)]
pub struct Layer {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone)]
enum Entry {
    Folder { mode: u32 },
    File { source: Source, mode: u32 },
    Link { target: String },
}

#[derive(Debug, Clone)]
enum Source {
    Path(PathBuf),
    Bytes(Vec<u8>),
}

impl Layer {
    /// A layer without files.
    pub fn new() -> Layer {
        Layer::default()
    }

    /// Adds a folder with its own mode.
    #[must_use]
    pub fn folder(self, path: &str, mode: u32) -> Layer {
        self.with(path, Entry::Folder { mode })
    }

    /// Adds a file of this machine, which is read when the image is written.
    #[must_use]
    pub fn file(self, path: &str, from: &Path, mode: u32) -> Layer {
        let source = Source::Path(from.to_owned());
        self.with(path, Entry::File { source, mode })
    }

    /// Adds a file with this text.
    #[must_use]
    pub fn text(self, path: &str, text: &str, mode: u32) -> Layer {
        self.bytes(path, text.as_bytes().to_vec(), mode)
    }

    /// Adds a file with these bytes.
    #[must_use]
    pub fn bytes(self, path: &str, bytes: Vec<u8>, mode: u32) -> Layer {
        let source = Source::Bytes(bytes);
        self.with(path, Entry::File { source, mode })
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Layer {
        let target = target.to_owned();
        self.with(path, Entry::Link { target })
    }

    /// The bytes of a file that was added as bytes or text.
    pub fn bytes_of(&self, path: &str) -> Option<&[u8]> {
        match self.entries.get(path)? {
            Entry::File {
                source: Source::Bytes(bytes),
                ..
            } => Some(bytes),
            _ => None,
        }
    }

    /// The paths of all entries, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    fn with(mut self, path: &str, entry: Entry) -> Layer {
        let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
        for parent in parents {
            let folder = Entry::Folder { mode: 0o755 };
            self.entries.entry(parent.to_owned()).or_insert(folder);
        }
        self.entries.insert(path.to_owned(), entry);
        self
    }

    /// Writes the layer as a blob, and returns its descriptor and the hash of its uncompressed
    /// content.
    pub(super) fn write(&self, layout: &Path) -> Result<(Descriptor, String)> {
        let blob = Blob::create(layout)?;
        // The header's operating system is "unknown", since it would differ between machines.
        let packed = GzBuilder::new()
            .operating_system(255)
            .write(blob, Compression::default());
        let mut archive = tar::Builder::new(Hashed::new(packed));
        for (path, entry) in &self.entries {
            append(&mut archive, path, entry)
                .with_context(|| format!("failed to put `{path}` into an image"))?;
        }
        let finish = || {
            let (packed, hash, _) = archive.into_inner()?.finish();
            Ok((packed.finish()?, hash))
        };
        let finished: io::Result<_> = finish();
        let (blob, hash) = finished.context("failed to write a layer of an image")?;
        Ok((blob.finish(LAYER)?, format!("sha256:{hash}")))
    }
}

fn append<W: Write>(archive: &mut tar::Builder<W>, path: &str, entry: &Entry) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    match entry {
        Entry::Folder { mode } => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_mode(*mode);
            archive.append_data(&mut header, format!("{path}/"), io::empty())?;
        }
        Entry::Link { target } => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_mode(0o777);
            archive.append_link(&mut header, path, target)?;
        }
        Entry::File { source, mode } => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_mode(*mode);
            match source {
                Source::Bytes(bytes) => {
                    header.set_size(bytes.len() as u64);
                    archive.append_data(&mut header, path, bytes.as_slice())?;
                }
                Source::Path(from) => {
                    let shown = || format!("failed to read {}", from.display());
                    header.set_size(fs::metadata(from).with_context(shown)?.len());
                    let file = File::open(from).with_context(shown)?;
                    archive.append_data(&mut header, path, file)?;
                }
            }
        }
    }
    Ok(())
}
