//! Temporary files with a lock: a folder's leftovers of killed processes are those without one.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use tempfile::NamedTempFile;

/// Prefix of the names of these files.
const PREFIX: &str = ".writing-";

/// Makes a file that only its owner can read. Its lock ends with this process, or when the file is closed.
///
/// # Errors
///
/// When the folder cannot be written.
pub(super) fn make(folder: &Path) -> io::Result<NamedTempFile> {
    loop {
        let file = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(fs::Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        flock(file.as_file(), FlockOperation::LockShared)?;
        // A concurrent clean-up may have removed the file before it was locked.
        if file.as_file().metadata()?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// Removes the files of processes that were killed while writing: those without a lock.
///
/// # Errors
///
/// When the folder cannot be read or written.
pub(super) fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        match File::open(&path) {
            Ok(file) if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() => {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_without_a_lock_are_leftovers() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        fs::write(path(".writing-killed"), b"half").expect("a file");
        fs::write(path("other"), b"whole").expect("a file");
        let written = make(folder.path()).expect("a file");
        remove_leftovers(folder.path()).expect("removed");
        assert!(!path(".writing-killed").exists());
        assert!(path("other").exists() && written.path().exists());
    }
}
