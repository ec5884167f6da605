//! One process compiles a module, and others that want the same one wait: a lock on a file, which the
//! kernel lets go of when its holder ends, however it ends.

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
    pub(crate) fn take(path: &Path) -> io::Result<Self> {
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)?;
            flock(&file, FlockOperation::LockExclusive)?;
            // Whoever held it before has removed it.
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
        // It is removed while it is locked, so that whoever takes it next sees that it is gone. What
        // stays after an error is an empty file that the next holder removes.
        let _ = remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::CompileLock;

    #[test]
    fn the_second_waits_for_the_first_and_nothing_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("module.lock");
        let first = CompileLock::take(&path).expect("nobody has it");
        let (tell, told) = channel();
        let waiting = thread::spawn({
            let path = path.clone();
            move || {
                let second = CompileLock::take(&path).expect("it comes");
                tell.send(()).expect("somebody listens");
                drop(second);
            }
        });
        assert!(told.try_recv().is_err());
        drop(first);
        told.recv().expect("it came");
        waiting.join().expect("it ended well");
        assert!(!path.exists());
    }
}
