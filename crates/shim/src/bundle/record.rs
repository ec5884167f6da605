//! The record in a bundle from which a later process takes a container apart: after the supervisor was killed,
//! containerd calls `delete`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::error::{Result, ShimError};

/// The folder in a bundle that is ours.
pub(crate) const FOLDER: &str = "sampan";

const FILE: &str = "record.json";

/// What was made for a container.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Its first process.
    pub(crate) pid: i32,
    pub(crate) cgroup: Cgroup,
}

impl Record {
    /// Writes it into a bundle, whole or not at all.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub(crate) fn write(&self, bundle: &Path) -> Result<()> {
        let folder = folder(bundle)?;
        let (temporary, path) = (folder.join("record.new"), folder.join(FILE));
        let write = || {
            fs::write(&temporary, serde_json::to_vec(self)?)?;
            fs::rename(&temporary, &path)
        };
        write().map_err(ShimError::system(format!("writing {}", path.display())))
    }

    /// Reads it; `None` when there is none, because nothing was made.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be read.
    pub(crate) fn read(bundle: &Path) -> Result<Option<Self>> {
        let path = bundle.join(FOLDER).join(FILE);
        let doing = || format!("reading {}", path.display());
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| ShimError::system(doing())(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ShimError::system(doing())(error)),
        }
    }
}

/// The folder in a bundle that is ours; makes it.
///
/// # Errors
///
/// When it cannot be made.
pub(crate) fn folder(bundle: &Path) -> Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    let folder = bundle.join(FOLDER);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .map_err(ShimError::system(format!("making {}", folder.display())))?;
    Ok(folder)
}
