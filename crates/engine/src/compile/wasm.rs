//! Source of a function's WebAssembly, and how it is read within a limit.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tokio::io::AsyncReadExt as _;

use crate::error::LoadError;

/// The source of a function's WebAssembly.
#[derive(Clone, Debug)]
pub enum Wasm {
    /// A file, read on demand.
    File(PathBuf),
    /// Bytes in memory.
    Bytes(Bytes),
}

impl Wasm {
    /// Reads the bytes, up to `limit`.
    ///
    /// # Errors
    ///
    /// [`LoadError::Read`] and [`LoadError::ArtifactSize`].
    pub(crate) async fn read(&self, limit: u64) -> Result<Bytes, LoadError> {
        let bytes = match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::File(path) => read_file(path, limit)
                .await
                .map_err(|error| unreadable(path, &error))?
                .into(),
        };
        within(bytes, limit)
    }

    /// Like [`Wasm::read`], for a process without an asynchronous runtime.
    pub(crate) fn read_blocking(&self, limit: u64) -> Result<Bytes, LoadError> {
        let bytes = match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::File(path) => {
                let mut bytes = Vec::new();
                std::fs::File::open(path)
                    .and_then(|file| {
                        let mut file = file.take(limit.saturating_add(1));
                        file.read_to_end(&mut bytes)
                    })
                    .map_err(|error| unreadable(path, &error))?;
                bytes.into()
            }
        };
        within(bytes, limit)
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> LoadError {
    LoadError::Read {
        path: path.to_owned(),
        message: error.to_string(),
    }
}

fn within(bytes: Bytes, limit: u64) -> Result<Bytes, LoadError> {
    let size = bytes.len() as u64;
    if size > limit {
        return Err(LoadError::ArtifactSize { size, limit });
    }
    Ok(bytes)
}

/// Reads a file up to one byte past `limit`.
async fn read_file(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let file = tokio::fs::File::open(path).await?;
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::take(file, limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .await?;
    Ok(bytes)
}
