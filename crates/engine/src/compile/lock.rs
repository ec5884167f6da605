//! File lock by which one process compiles a module while others wait for it.
//!
//! The kernel releases the lock when its holder ends, however it ends.

use std::fs::{File, OpenOptions, remove_file};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// Held while a module is compiled.
pub(crate) struct CompileLock {
    path: PathBuf,
    _file: File,
}

impl CompileLock {
    /// Waits for the lock at this path. Blocks.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)?;
            flock(&file, FlockOperation::LockExclusive)?;
            // The previous holder may have removed the file.
            if file.metadata()?.nlink() > 0 {
                return Ok(Self {
                    path: path.to_owned(),
                    _file: file,
                });
            }
        }
    }
}

impl Drop for CompileLock {
    fn drop(&mut self) {
        // The file is removed while it is locked, so that the next holder sees that it is gone.
        // After an error an empty file stays, which the next holder removes.
        let _ = remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::CompileLock;

    #[test]
    fn a_second_compiler_waits_and_the_lock_file_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("module.lock");
        let first = CompileLock::take(&path).expect("the lock is free");
        let (sender, receiver) = channel();
        let waiting = thread::spawn({
            let path = path.clone();
            move || {
                let second = CompileLock::take(&path).expect("the second takes the lock");
                sender.send(()).expect("the receiver is alive");
                drop(second);
            }
        });
        assert!(receiver.try_recv().is_err());
        drop(first);
        receiver.recv().expect("the second has taken the lock");
        waiting.join().expect("the thread did not panic");
        assert!(!path.exists());
    }
}
