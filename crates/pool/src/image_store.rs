//! Images on the pod's disk.
//!
//! Layout of the folder: `images/DIGEST` has the digest of the module of an image, and
//! `modules/DIGEST.wasm` is that module. Images without a lease are removed at times, and the modules
//! that only they have.

use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sampan_artifact::{Digest, StoreError, store};
use tokio::task::spawn_blocking;

use crate::error::PoolError;
use crate::files::remove;
use crate::leases::{Lease, Leases, file_name};

/// A module of an image, on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// The image, which stays on the disk meanwhile.
    pub(crate) image: Lease,
    /// The digest of the module.
    pub(crate) module: Digest,
    pub(crate) path: PathBuf,
}

/// The folder of images.
pub(crate) struct ImageStore {
    folder: PathBuf,
    leases: Leases,
    /// Held while files are written or removed.
    changing: Arc<Mutex<()>>,
}

impl ImageStore {
    /// Opens the folder. Makes it if it is missing.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(folder.join("images"))?;
        builder.create(folder.join("modules"))?;
        Ok(Self {
            folder,
            leases: Leases::default(),
            changing: Arc::default(),
        })
    }

    /// Whether an image has a lease.
    pub(crate) fn is_leased(&self, image: &Digest) -> bool {
        self.leases.has(image)
    }

    /// Keeps an image on the disk, if it is there.
    pub(crate) fn lease(&self, image: Digest) -> Lease {
        self.leases.lease(image)
    }

    /// The module of an image that was pulled before, if it is still there.
    pub(crate) async fn find(&self, image: Lease) -> Result<Option<Artifact>, PoolError> {
        let (index, modules) = (self.index(&image), self.folder.join("modules"));
        self.blocking(move || {
            let Some(module) = read_index(&index)? else {
                return Ok(None);
            };
            let path = module_path(&modules, &module);
            Ok(path.try_exists()?.then_some(Artifact {
                image,
                module,
                path,
            }))
        })
        .await
    }

    /// Removes a module that was damaged, so that it is pulled again.
    pub(crate) async fn remove(&self, artifact: &Artifact) -> Result<(), PoolError> {
        let (index, module) = (self.index(&artifact.image), artifact.path.clone());
        self.blocking(move || {
            remove(&index)?;
            remove(&module)
        })
        .await
    }

    /// Removes all images without a lease, and modules without an image. Returns the modules that
    /// stay. Functions may be loaded meanwhile.
    pub(crate) async fn collect(&self) -> Result<Vec<Digest>, PoolError> {
        let [images, modules] = ["images", "modules"].map(|folder| self.folder.join(folder));
        let (leases, changing) = (self.leases.clone(), Arc::clone(&self.changing));
        self.blocking(move || {
            let _changing = changing.lock().unwrap_or_else(PoisonError::into_inner);
            let mut used = HashSet::new();
            for (name, path) in files(&images)? {
                if !leases.remove_unleased(&name, || fs::remove_file(&path))? {
                    used.extend(read_index(&path)?);
                }
            }
            let kept: HashSet<PathBuf> = used
                .iter()
                .map(|module| module_path(&modules, module))
                .collect();
            for (_, path) in files(&modules)? {
                if !kept.contains(&path) {
                    fs::remove_file(&path)?;
                }
            }
            Ok(used.into_iter().collect())
        })
        .await
    }

    /// Writes an image and its module.
    pub(crate) async fn keep(
        &self,
        image: Lease,
        module: Digest,
        bytes: Vec<u8>,
    ) -> Result<Artifact, PoolError> {
        let (index, modules) = (self.index(&image), self.folder.join("modules"));
        let changing = Arc::clone(&self.changing);
        let failed = |error: StoreError| match error {
            StoreError::Write { source, .. } => source,
            StoreError::Exists { .. } => io::Error::other(error),
        };
        self.blocking(move || {
            let _changing = changing.lock().unwrap_or_else(PoisonError::into_inner);
            let path = module_path(&modules, &module);
            store(&path, &bytes, true).map_err(failed)?;
            store(&index, module.as_str().as_bytes(), true).map_err(failed)?;
            Ok(Artifact {
                image,
                module,
                path,
            })
        })
        .await
    }

    /// Works with the folder's files beside the other tasks.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, PoolError> {
        let done = spawn_blocking(work).await.map_err(io::Error::other);
        done.and_then(|done| done)
            .map_err(|source| PoolError::Keep {
                folder: self.folder.display().to_string(),
                source,
            })
    }

    fn index(&self, image: &Lease) -> PathBuf {
        self.folder.join("images").join(image.file_name())
    }
}

/// The files of a folder, by name.
fn files(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        files.push((name, entry.path()));
    }
    Ok(files)
}

/// The module of an image. A file that was written in part counts as missing, and is written again.
fn read_index(index: &Path) -> io::Result<Option<Digest>> {
    match fs::read_to_string(index) {
        Ok(text) => Ok(text.parse().ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn module_path(modules: &Path, module: &Digest) -> PathBuf {
    modules.join(format!("{}.wasm", file_name(module)))
}

#[cfg(test)]
mod tests;
