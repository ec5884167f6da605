//! Reads, atomically replaces and backs up files of the node.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Suffix of the backup of a file.
const BACKUP: &str = ".sampan-backup";

/// The node's root folder in this process's mounts.
#[derive(Clone, Debug)]
pub(crate) struct Root(PathBuf);

impl Root {
    pub(crate) fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Resolves a path of the node.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The content of a file; `None` if it does not exist.
    pub(crate) fn read(&self, path: &Path) -> Result<Option<String>, Error> {
        match fs::read_to_string(self.resolve(path)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed("read", path, source)),
        }
    }

    /// Writes a file, or removes it without content. Returns whether it changed.
    pub(crate) fn put(&self, path: &Path, content: Option<&str>) -> Result<bool, Error> {
        if self.read(path)?.as_deref() == content {
            return Ok(false);
        }
        match content {
            Some(text) => {
                let mode = fs::metadata(self.resolve(path))
                    .map_or(0o644, |file| file.permissions().mode());
                replace(&self.resolve(path), text.as_bytes(), mode & 0o7777)
                    .map_err(|source| failed("written", path, source))?;
            }
            None => self.remove(path)?,
        }
        Ok(true)
    }

    /// Copies a program to the node. Returns whether it changed.
    pub(crate) fn install(&self, program: &Path, to: &Path) -> Result<bool, Error> {
        let bytes = fs::read(program).map_err(|source| failed("read", program, source))?;
        match fs::read(self.resolve(to)) {
            Ok(there) if there == bytes => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(failed("read", to, source)),
        }
        // Replaces by renaming: the old program may be running.
        replace(&self.resolve(to), &bytes, 0o755)
            .map_err(|source| failed("written", to, source))?;
        Ok(true)
    }

    /// Writes a backup of a file beside it, unless one exists.
    pub(crate) fn back_up(&self, path: &Path, content: &str) -> Result<(), Error> {
        let backup = backup(path);
        if self.read(&backup)?.is_some() {
            return Ok(());
        }
        self.put(&backup, Some(content)).map(drop)
    }

    /// Removes the backup of [`Root::back_up`].
    pub(crate) fn remove_backup(&self, path: &Path) -> Result<(), Error> {
        self.remove(&backup(path))
    }

    /// Removes a file, if it exists, with an unfinished copy of it.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), Error> {
        let path_on_node = self.resolve(path);
        let removed =
            remove_file(&path_on_node).and_then(|()| remove_file(&temporary(&path_on_node)));
        removed.map_err(|source| failed("removed", path, source))
    }

    /// Lists the files of a folder outside of the root; a missing folder counts as empty.
    pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
        let read_error = |source| failed("read", folder, source);
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(read_error(source)),
        };
        let paths = entries.map(|entry| Ok(entry.map_err(read_error)?.path()));
        paths.collect()
    }

    /// Removes a folder with its content, if it exists.
    pub(crate) fn remove_folder(&self, folder: &Path) -> Result<(), Error> {
        match fs::remove_dir_all(self.resolve(folder)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(failed("removed", folder, error))
            }
            _ => Ok(()),
        }
    }

    /// Removes a folder and its ancestors while they are empty, at most `most` in total.
    pub(crate) fn prune(&self, folder: &Path, most: usize) -> Result<(), Error> {
        for folder in folder.ancestors().take(most) {
            match fs::remove_dir(self.resolve(folder)) {
                Ok(()) => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::DirectoryNotEmpty | ErrorKind::NotFound
                    ) =>
                {
                    break;
                }
                Err(source) => return Err(failed("removed", folder, source)),
            }
        }
        Ok(())
    }
}

/// The path of a file's backup.
pub(crate) fn backup(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(BACKUP);
    PathBuf::from(name)
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File {
        what,
        path: path.to_owned(),
        source,
    }
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let temporary = temporary(path);
    // An installer that was killed may have left it.
    remove_file(&temporary)?;
    let written = write(&temporary, bytes, mode).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The cause counts; the next attempt removes what is left.
        let _ = remove_file(&temporary);
    }
    written?;
    File::open(folder)?.sync_all()
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    // A configuration may hold credentials: only its owner reads it before it has its mode.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

/// The path of a file while it is written. It is the same for each attempt, so nothing piles up on the node.
fn temporary(path: &Path) -> PathBuf {
    let mut name = OsString::from(".sampan-new-");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_backed_up_and_removed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = Root::new(folder.path());
        let path = Path::new("/etc/containerd/conf.d/x.toml");
        assert_eq!(root.read(path).expect("nothing"), None);
        assert!(root.put(path, Some("one")).expect("written"));
        assert!(!root.put(path, Some("one")).expect("the same"));
        fs::set_permissions(root.resolve(path), Permissions::from_mode(0o600)).expect("a mode");
        root.back_up(path, "one").expect("kept");
        assert!(root.put(path, Some("two")).expect("changed"));
        let mode = fs::metadata(root.resolve(path))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        root.back_up(path, "two").expect("kept before");
        assert_eq!(
            root.read(&backup(path)).expect("a file").as_deref(),
            Some("one")
        );
        root.remove_backup(path).expect("forgotten");
        assert!(root.put(path, None).expect("removed"));
        assert!(!root.put(path, None).expect("nothing there"));
        root.prune(Path::new("/etc/containerd/conf.d"), 2)
            .expect("pruned");
        assert!(!root.resolve(Path::new("/etc/containerd")).exists());
        assert!(root.resolve(Path::new("/etc")).exists());
    }

    #[test]
    fn nothing_piles_up_of_installers_that_were_killed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = Root::new(folder.path());
        let path = Path::new("/opt/sampan/bin/shim");
        let unfinished = temporary(&root.resolve(path));
        fs::create_dir_all(unfinished.parent().expect("a folder")).expect("a folder");
        fs::write(&unfinished, "half").expect("a file");
        assert!(root.put(path, Some("whole")).expect("written"));
        assert!(!unfinished.exists());
        fs::write(&unfinished, "half").expect("a file");
        root.remove(path).expect("removed");
        root.prune(Path::new("/opt/sampan/bin"), 3).expect("pruned");
        assert!(!root.resolve(Path::new("/opt")).exists());
    }

    #[test]
    fn a_program_is_installed_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = Root::new(folder.path());
        let program = folder.path().join("program");
        fs::write(&program, "one").expect("a file");
        let to = Path::new("/opt/sampan/bin/shim");
        assert!(root.install(&program, to).expect("installed"));
        assert!(!root.install(&program, to).expect("the same"));
        fs::write(&program, "two").expect("a file");
        assert!(root.install(&program, to).expect("another"));
        let mode = fs::metadata(root.resolve(to))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o755);
    }
}
