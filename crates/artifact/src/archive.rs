//! Reads image layers, and writes layers with a single file.
//!
//! Nothing is unpacked to a disk: candidate files are kept in memory, within a limit. Entries that
//! no function's image needs are rejected: links, devices, paths that lead out, duplicate files,
//! and contradicting headers.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tar::{Archive, Builder, Entry, EntryType, Header};

use crate::digest::{Digest, Hasher};
use crate::media::LayerCompression;

/// The most entries of a layer.
const MAX_ENTRIES: usize = 4096;
/// The most characters of a foreign path in messages.
const MAX_SHOWN: usize = 120;
/// The prefix of files that remove a file of lower layers.
const WHITEOUT: &str = ".wh.";
/// The file that removes all contents of its folder in lower layers.
const OPAQUE: &str = ".wh..wh..opq";

/// Writes a layer with one world-readable file, owned by root, with time stamp zero.
pub(crate) fn write(name: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o444);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    let mut builder = Builder::new(Vec::with_capacity(bytes.len() + 2048));
    builder.append_data(&mut header, name, bytes)?;
    builder.into_inner()
}

/// Reasons why a layer is rejected.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// It unpacks to more than allowed.
    #[error("it unpacks to more than {limit} bytes")]
    Size {
        /// Bytes.
        limit: u64,
    },
    /// It has more entries than allowed.
    #[error("it has more than {MAX_ENTRIES} entries")]
    Entries,
    /// An entry that is neither a file nor a folder.
    #[error("{path:?} is a {kind}; only files and folders are read")]
    Kind {
        /// The entry.
        path: String,
        /// Its kind.
        kind: &'static str,
    },
    /// A path that leads out of the image or is malformed.
    #[error("{path:?} is not a path inside the image")]
    Path {
        /// The entry.
        path: String,
    },
    /// Two entries with one path.
    #[error("{path:?} is in it twice")]
    Twice {
        /// The entry.
        path: String,
    },
    /// An extended header contradicts the header.
    #[error("the headers of {path:?} contradict each other about its size")]
    Contradiction {
        /// The entry.
        path: String,
    },
    /// The digest of the unpacked layer differs from the image's configuration.
    #[error("it unpacks to {actual}, but the image's configuration says {expected}")]
    Digest {
        /// The digest in the configuration.
        expected: Digest,
        /// The computed digest.
        actual: Digest,
    },
    /// Not an archive, or a damaged one.
    #[error("it is not a whole archive")]
    Damaged(#[source] io::Error),
}

/// The candidate files of an image: the wanted ones, and each `.wasm` at the root.
#[derive(Debug)]
pub(crate) struct Files {
    wanted: Vec<String>,
    found: BTreeMap<String, Vec<u8>>,
    /// Bytes that further layers may unpack to.
    left: u64,
}

impl Files {
    /// Starts without files. `wanted` are paths from the root, without a leading slash, the
    /// likeliest first. All layers together may unpack to `most` bytes.
    pub(crate) fn new(wanted: Vec<String>, most: u64) -> Self {
        Self {
            wanted,
            found: BTreeMap::new(),
            left: most,
        }
    }

    /// Applies a layer on top of the previous ones.
    pub(crate) fn apply_layer(
        &mut self,
        layer: &[u8],
        compression: LayerCompression,
        unpacked: &Digest,
    ) -> Result<(), LayerError> {
        match compression {
            LayerCompression::Plain => self.read(layer, unpacked),
            LayerCompression::Gzip => self.read(MultiGzDecoder::new(layer), unpacked),
        }
    }

    /// Returns the first wanted file, or else the only `.wasm` at the root. Otherwise returns the
    /// names of the candidates.
    pub(crate) fn choose(mut self) -> Result<Vec<u8>, Vec<String>> {
        let found = &mut self.found;
        if let Some(bytes) = self.wanted.iter().find_map(|path| found.remove(path)) {
            return Ok(bytes);
        }
        match self.found.pop_first() {
            Some((_, bytes)) if self.found.is_empty() => Ok(bytes),
            first => Err(first
                .map(|(path, _)| path)
                .into_iter()
                .chain(self.found.into_keys())
                .collect()),
        }
    }

    fn read(&mut self, source: impl Read, unpacked: &Digest) -> Result<(), LayerError> {
        let limit = self.left;
        let mut source = CountingReader::new(source, limit, Hasher::like(unpacked));
        let outcome = self.entries(&mut source).and_then(|()| {
            // Bytes after the last entry count for the digest.
            io::copy(&mut source, &mut io::sink()).map_err(LayerError::Damaged)
        });
        if source.exceeded {
            return Err(LayerError::Size { limit });
        }
        outcome?;
        self.left -= source.count;
        let actual = source.hasher.finish();
        if actual == *unpacked {
            Ok(())
        } else {
            Err(LayerError::Digest {
                expected: unpacked.clone(),
                actual,
            })
        }
    }

    fn entries(&mut self, source: &mut impl Read) -> Result<(), LayerError> {
        let mut archive = Archive::new(source);
        // The files of this layer. They replace lower ones only when the whole layer has been read.
        let mut added: BTreeMap<String, Option<Vec<u8>>> = BTreeMap::new();
        let mut removed = Vec::new();
        for (index, entry) in archive.entries().map_err(LayerError::Damaged)?.enumerate() {
            if index >= MAX_ENTRIES {
                return Err(LayerError::Entries);
            }
            let mut entry = entry.map_err(LayerError::Damaged)?;
            if entry.header().entry_type() == EntryType::XGlobalHeader {
                continue;
            }
            let path = checked(&mut entry)?;
            if entry.header().entry_type() == EntryType::Directory {
                continue;
            }
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if name == OPAQUE {
                removed.push(format!("{folder}/"));
                continue;
            }
            if let Some(name) = name.strip_prefix(WHITEOUT) {
                removed.push(format!("{folder}/{name}"));
                continue;
            }
            let kept = self.wanted.contains(&path) || (folder.is_empty() && is_wasm(name));
            let bytes = if kept {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(LayerError::Damaged)?;
                Some(bytes)
            } else {
                None
            };
            if added.insert(path.clone(), bytes).is_some() {
                return Err(LayerError::Twice { path: shown(&path) });
            }
        }
        self.found.retain(|path, _| {
            let full = format!("/{path}");
            !removed.iter().any(|gone| {
                let gone = format!("/{}", gone.trim_start_matches('/'));
                full == gone
                    || (full.starts_with(&gone)
                        && (gone.ends_with('/') || full[gone.len()..].starts_with('/')))
            })
        });
        for (path, bytes) in added {
            if let Some(bytes) = bytes {
                self.found.insert(path, bytes);
            }
        }
        Ok(())
    }
}

/// The path of an entry that a function's image may have.
fn checked<R: Read>(entry: &mut Entry<'_, R>) -> Result<String, LayerError> {
    let raw = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let kind = match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous | EntryType::Directory => None,
        EntryType::Link => Some("hard link"),
        EntryType::Symlink => Some("symbolic link"),
        EntryType::Char | EntryType::Block => Some("device"),
        EntryType::Fifo => Some("pipe"),
        _ => Some("special entry"),
    };
    if let Some(kind) = kind {
        return Err(LayerError::Kind {
            path: shown(&raw),
            kind,
        });
    }
    // Readers that trust different sizes would see different files.
    let header = entry.header().entry_size().map_err(LayerError::Damaged)?;
    let mut contradicts = header != entry.size();
    if let Some(extensions) = entry.pax_extensions().map_err(LayerError::Damaged)? {
        for extension in extensions {
            let extension = extension.map_err(LayerError::Damaged)?;
            if extension.key_bytes() == b"size" {
                let text = String::from_utf8_lossy(extension.value_bytes()).into_owned();
                contradicts |= text.parse() != Ok(header);
            }
        }
    }
    if contradicts {
        return Err(LayerError::Contradiction { path: shown(&raw) });
    }
    inside(&raw).ok_or_else(|| LayerError::Path { path: shown(&raw) })
}

/// A path below the root without `.` and without a trailing slash; `None` if it leads elsewhere.
fn inside(raw: &str) -> Option<String> {
    if raw.starts_with('/') || raw.contains(['\0', '\\', char::REPLACEMENT_CHARACTER]) {
        return None;
    }
    let mut parts = Vec::new();
    for part in raw.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            "" | ".." => return None,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn is_wasm(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "wasm")
}

fn shown(path: &str) -> String {
    path.chars().take(MAX_SHOWN).collect()
}

/// Counts and hashes the bytes that are read, up to a limit.
struct CountingReader<R> {
    source: R,
    hasher: Hasher,
    count: u64,
    limit: u64,
    exceeded: bool,
}

impl<R: Read> CountingReader<R> {
    fn new(source: R, limit: u64, hasher: Hasher) -> Self {
        Self {
            source,
            hasher,
            count: 0,
            limit,
            exceeded: false,
        }
    }
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.count += count as u64;
        if self.count > self.limit {
            self.exceeded = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
