//! Writes the blobs of a layout: files named by the hash of their content.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The descriptor of a blob.
#[derive(Debug, Clone)]
pub(super) struct Descriptor {
    pub(super) media_type: &'static str,
    pub(super) digest: String,
    pub(super) size: u64,
    /// The platform, for an entry of an index.
    pub(super) platform: Option<Value>,
}

impl Descriptor {
    pub(super) fn json(&self) -> Value {
        let mut json = json!({
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
        });
        if let Some(platform) = &self.platform {
            json["platform"] = platform.clone();
        }
        json
    }

    pub(super) fn write_json(
        layout: &Path,
        media_type: &'static str,
        json: &Value,
    ) -> Result<Descriptor> {
        let mut blob = Blob::create(layout)?;
        blob.write_all(json.to_string().as_bytes())
            .context("failed to write a part of an image")?;
        blob.finish(media_type)
    }
}

/// A blob that is being written.
#[derive(Debug)]
pub(super) struct Blob {
    folder: PathBuf,
    unfinished: PathBuf,
    file: Hashed<File>,
}

impl Blob {
    pub(super) fn create(layout: &Path) -> Result<Blob> {
        let folder = layout.join("blobs/sha256");
        let unfinished = folder.join("unfinished");
        let file = File::create(&unfinished)
            .with_context(|| format!("failed to write {}", unfinished.display()))?;
        Ok(Blob {
            folder,
            unfinished,
            file: Hashed::new(file),
        })
    }

    pub(super) fn finish(self, media_type: &'static str) -> Result<Descriptor> {
        let (file, hash, size) = self.file.finish();
        drop(file);
        let blob = self.folder.join(&hash);
        fs::rename(&self.unfinished, &blob)
            .with_context(|| format!("failed to write {}", blob.display()))?;
        Ok(Descriptor {
            media_type,
            digest: format!("sha256:{hash}"),
            size,
            platform: None,
        })
    }
}

impl Write for Blob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Hashes and counts the bytes that pass through.
#[derive(Debug)]
pub(super) struct Hashed<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Hashed<W> {
    pub(super) fn new(inner: W) -> Hashed<W> {
        Hashed {
            inner,
            hash: Sha256::new(),
            size: 0,
        }
    }

    /// Returns the inner writer, the hash in hexadecimal digits, and the count of bytes.
    pub(super) fn finish(self) -> (W, String, u64) {
        (self.inner, hex::encode(self.hash.finalize()), self.size)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
