//! Stores a pulled function as a file, atomically.
//!
//! A file with other content is replaced only on request.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Reasons why a file was not written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file with other content exists.
    #[error("{} is there and holds something else", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The result of storing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The file was written.
    Written,
    /// The file already had these bytes.
    Unchanged,
}

/// Writes a file atomically: a reader sees the old content or the new one, also after a crash.
///
/// # Errors
///
/// [`StoreError::Exists`] when other content exists and `replace` is not set.
pub fn store(path: &Path, bytes: &[u8], replace: bool) -> Result<Stored, StoreError> {
    let failed = |source| StoreError::Write {
        path: path.to_owned(),
        source,
    };
    match holds(path, bytes) {
        Ok(true) => return Ok(Stored::Unchanged),
        Ok(false) if replace => {}
        Ok(false) => {
            return Err(StoreError::Exists {
                path: path.to_owned(),
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = NamedTempFile::with_prefix_in(".sampan-", folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    readable(file.as_file()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    let persisted = if replace {
        file.persist(path)
    } else {
        // A file that was created meanwhile is not overwritten.
        file.persist_noclobber(path)
    };
    persisted.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => StoreError::Exists {
            path: path.to_owned(),
        },
        _ => failed(error.error),
    })?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)?;
    Ok(Stored::Written)
}

/// Whether a file has this content. Reads no more than the comparison needs.
fn holds(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() != bytes.len() as u64 {
        return Ok(false);
    }
    let mut found = Vec::with_capacity(bytes.len());
    file.take(bytes.len() as u64 + 1).read_to_end(&mut found)?;
    Ok(found == bytes)
}

/// Makes the file readable: temporary files are for their owner only, but a function is not secret.
fn readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_once_and_never_over_another() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.wasm");
        assert_eq!(
            store(&path, b"one", false).expect("written"),
            Stored::Written
        );
        assert_eq!(
            store(&path, b"one", false).expect("the same"),
            Stored::Unchanged
        );
        let other = store(&path, b"two", false);
        assert!(matches!(other, Err(StoreError::Exists { .. })), "{other:?}");
        assert_eq!(fs::read(&path).expect("a file"), b"one");
        assert_eq!(
            store(&path, b"two", true).expect("replaced"),
            Stored::Written
        );
        assert_eq!(fs::read(&path).expect("a file"), b"two");
        let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_write_failure_is_reported() {
        let check = |path: &str| {
            let outcome = store(Path::new(path), b"x", false);
            assert!(
                matches!(outcome, Err(StoreError::Write { .. })),
                "{path}: {outcome:?}"
            );
        };
        check("/nowhere/at/all/a.wasm");
        check("/dev/null/a.wasm");
    }
}
