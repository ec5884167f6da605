//! The node's files: read, replaced as a whole, kept beside.
//!
//! Refuses to leave half a file.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::Error;

/// Behind the name of what a file was before us.
const BACKUP: &str = ".sampan-backup";

/// The node's root folder as it is seen from here.
#[derive(Clone, Debug)]
pub(crate) struct Root(PathBuf);

impl Root {
    pub(crate) fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// A path of the node, from here.
    pub(crate) fn at(&self, path: &Path) -> PathBuf {
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The content of a file, if there is one.
    pub(crate) fn read(&self, path: &Path) -> Result<Option<String>, Error> {
        match fs::read_to_string(self.at(path)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed("read", path, source)),
        }
    }

    /// Gives a file this content, or takes it away. It says whether anything changed.
    pub(crate) fn put(&self, path: &Path, content: Option<&str>) -> Result<bool, Error> {
        if self.read(path)?.as_deref() == content {
            return Ok(false);
        }
        match content {
            Some(text) => {
                let mode =
                    fs::metadata(self.at(path)).map_or(0o644, |file| file.permissions().mode());
                replace(&self.at(path), text.as_bytes(), mode & 0o7777)
                    .map_err(|source| failed("written", path, source))?;
            }
            None => self.remove(path)?,
        }
        Ok(true)
    }

    /// Copies a program to the node. It says whether it was another before.
    pub(crate) fn install(&self, program: &Path, to: &Path) -> Result<bool, Error> {
        let bytes = fs::read(program).map_err(|source| failed("read", program, source))?;
        match fs::read(self.at(to)) {
            Ok(there) if there == bytes => return Ok(false),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(failed("read", to, source)),
        }
        // By renaming: the old one may be running.
        replace(&self.at(to), &bytes, 0o755).map_err(|source| failed("written", to, source))?;
        Ok(true)
    }

    /// Keeps what a file holds beside it, unless that has been done before.
    pub(crate) fn keep(&self, path: &Path, content: &str) -> Result<(), Error> {
        let backup = backup(path);
        if self.read(&backup)?.is_some() {
            return Ok(());
        }
        self.put(&backup, Some(content)).map(drop)
    }

    /// Takes away what [`Root::keep`] has made.
    pub(crate) fn forget(&self, path: &Path) -> Result<(), Error> {
        self.remove(&backup(path))
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), Error> {
        match fs::remove_file(self.at(path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(failed("removed", path, error))
            }
            _ => Ok(()),
        }
    }

    /// The files of a folder that is seen from here as it is; none if it is not there.
    pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
        let told = |source| failed("read", folder, source);
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(told(source)),
        };
        let paths = entries.map(|entry| Ok(entry.map_err(told)?.path()));
        paths.collect()
    }

    /// Removes a folder of ours with everything in it, if it is there.
    pub(crate) fn remove_folder(&self, folder: &Path) -> Result<(), Error> {
        match fs::remove_dir_all(self.at(folder)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(failed("removed", folder, error))
            }
            _ => Ok(()),
        }
    }

    /// Removes a folder and those above it, as long as they are empty, but no more than `most`.
    pub(crate) fn prune(&self, folder: &Path, most: usize) -> Result<(), Error> {
        for folder in folder.ancestors().take(most) {
            match fs::remove_dir(self.at(folder)) {
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

/// Where the former content of a file is kept.
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
    let mut file = NamedTempFile::with_prefix_in(".sampan-", folder)?;
    file.write_all(bytes)?;
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_node_are_put_kept_and_taken_away() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = Root::new(folder.path());
        let path = Path::new("/etc/containerd/conf.d/x.toml");
        assert_eq!(root.read(path).expect("nothing"), None);
        assert!(root.put(path, Some("one")).expect("written"));
        assert!(!root.put(path, Some("one")).expect("the same"));
        fs::set_permissions(root.at(path), Permissions::from_mode(0o600)).expect("a mode");
        root.keep(path, "one").expect("kept");
        assert!(root.put(path, Some("two")).expect("changed"));
        let mode = fs::metadata(root.at(path))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        root.keep(path, "two").expect("kept before");
        assert_eq!(
            root.read(&backup(path)).expect("a file").as_deref(),
            Some("one")
        );
        root.forget(path).expect("forgotten");
        assert!(root.put(path, None).expect("removed"));
        assert!(!root.put(path, None).expect("nothing there"));
        root.prune(Path::new("/etc/containerd/conf.d"), 2)
            .expect("pruned");
        assert!(!root.at(Path::new("/etc/containerd")).exists());
        assert!(root.at(Path::new("/etc")).exists());
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
        let mode = fs::metadata(root.at(to))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o755);
    }
}
