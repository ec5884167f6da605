//! On-disk cache of compiled modules, and the only place that deserializes compiled code.
//!
//! A file loads only if it ends with a keyed hash over its name and every byte of it. The key
//! belongs to this folder, or to the processes that share their modules: see [`super::peers`]. The
//! name covers the WebAssembly, the wasmtime version and the configuration. A file that was renamed,
//! truncated, changed or written without the key is compiled again.
//!
//! Only its owner can read the folder, and the owner could attach a debugger as well. The hash
//! guards against files from elsewhere, not against the owner.
//!
//! Layout of a file: the compiled module, then [`MAC_LENGTH`] bytes of keyed BLAKE3.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

use super::cache_key::CacheKey;
use super::lock::CompileLock;
use super::module_name::ModuleName;
use super::temporary;
use crate::error::{EngineError, LoadError};

/// Bytes of the keyed hash at the end of each file.
const MAC_LENGTH: usize = blake3::OUT_LEN;

/// Separates this use of the key from any other.
const CONTEXT: &[u8] = b"sampan compiled module v1\0";

/// The owner of a file that other processes receive. Kubernetes and other systems that map users
/// use identifiers up to half of this number, so no process runs under it.
const UNUSED_ID: u32 = 0xffff_ff00;

/// The folder of compiled modules.
pub(crate) struct Cache {
    folder: PathBuf,
    key: CacheKey,
}

/// A file of compiled code, with the descriptor through which its keyed hash was verified. Only
/// [`Cache::find`] makes one.
pub(crate) struct Verified(File);

impl Verified {
    /// Maps the code into this process.
    ///
    /// # Errors
    ///
    /// [`LoadError::Link`] when wasmtime rejects it, for example when another engine made it.
    pub(crate) fn load(&self, engine: &Engine, component: bool) -> Result<Code, LoadError> {
        deserialize(engine, self, component).map_err(|error| LoadError::Link(format!("{error:#}")))
    }

    /// Changes the owner to a user that no process runs as. A process that has the file open then
    /// needs privileges to change it, even if it runs as root.
    ///
    /// The owner of a file may make it writable again through any descriptor, and other processes
    /// that run the same module would run the change. The call itself needs privileges.
    ///
    /// # Errors
    ///
    /// When the owner cannot be changed.
    pub(crate) fn assign_unused_owner(&self) -> io::Result<()> {
        let metadata = self.0.metadata()?;
        let is_assigned = metadata.uid() == UNUSED_ID && metadata.gid() == UNUSED_ID;
        if !is_assigned {
            fchown(&self.0, Some(UNUSED_ID), Some(UNUSED_ID))?;
        }
        if metadata.mode() & 0o7777 != 0o444 {
            self.0.set_permissions(fs::Permissions::from_mode(0o444))?;
        }
        Ok(())
    }
}

impl AsFd for Verified {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Loaded code: a component or a core module.
#[derive(Clone)]
pub(crate) enum Code {
    Component(Component),
    Module(Module),
}

impl Cache {
    /// Opens the folder. Makes the folder if it is missing, and without a given key also its own.
    ///
    /// # Errors
    ///
    /// [`EngineError::Cache`] with the failing path; [`EngineError::CacheKey`] for a key file of
    /// the wrong length.
    pub(crate) fn open(folder: &Path, key: Option<&CacheKey>) -> Result<Self, EngineError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| EngineError::Cache { path, source }
        };
        let modules = folder.join("modules");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&modules)
            .map_err(at(&modules))?;
        let key = match key {
            Some(key) => key.clone(),
            None => own_key(folder)?,
        };
        // A process may have been killed while it wrote the key, or a module.
        for folder in [folder, &modules] {
            temporary::remove_leftovers(folder).map_err(at(folder))?;
        }
        Ok(Self {
            folder: modules,
            key,
        })
    }

    pub(crate) fn path(&self, name: &ModuleName) -> PathBuf {
        self.folder.join(format!("{name}.cwasm"))
    }

    /// Loads the module stored under a name; `None` when there is no file or it does not verify.
    ///
    /// # Errors
    ///
    /// [`LoadError::Cache`] when the file exists but cannot be read.
    pub(crate) fn load(
        &self,
        name: &ModuleName,
        engine: &Engine,
        component: bool,
    ) -> Result<Option<Code>, LoadError> {
        let Some(verified) = self.find(name)? else {
            return Ok(None);
        };
        match verified.load(engine, component) {
            Ok(code) => Ok(Some(code)),
            Err(error) => {
                let path = self.path(name);
                tracing::warn!(path = %path.display(), %error, "a cached module does not load; compiling again");
                Ok(None)
            }
        }
    }

    /// Opens the file stored under a name; `None` when there is no file or it does not verify.
    ///
    /// # Errors
    ///
    /// [`LoadError::Cache`] when the file exists but cannot be read.
    pub(crate) fn find(&self, name: &ModuleName) -> Result<Option<Verified>, LoadError> {
        let path = self.path(name);
        let failed = |error: io::Error| LoadError::Cache {
            path: path.clone(),
            message: error.to_string(),
        };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        if !self.verifies(name, &mut file).map_err(failed)? {
            tracing::warn!(path = %path.display(), "a cached module does not verify; compiling again");
            return Ok(None);
        }
        Ok(Some(Verified(file)))
    }

    /// Removes all modules but those of these names.
    ///
    /// # Errors
    ///
    /// [`LoadError::Cache`] when the folder cannot be read or written.
    pub(crate) fn retain(
        &self,
        names: impl IntoIterator<Item = ModuleName>,
    ) -> Result<(), LoadError> {
        let kept: HashSet<PathBuf> = names.into_iter().map(|name| self.path(&name)).collect();
        let remove = || -> io::Result<()> {
            for entry in fs::read_dir(&self.folder)? {
                let path = entry?.path();
                let is_module = path.extension().is_some_and(|end| end == "cwasm");
                if is_module && !kept.contains(&path) {
                    fs::remove_file(path)?;
                }
            }
            Ok(())
        };
        remove().map_err(|error| LoadError::Cache {
            path: self.folder.clone(),
            message: error.to_string(),
        })
    }

    /// Waits until no other process compiles the module of this name.
    ///
    /// # Errors
    ///
    /// [`LoadError::Cache`] when the folder cannot be written.
    pub(crate) fn lock(&self, name: &ModuleName) -> Result<CompileLock, LoadError> {
        let path = self.folder.join(format!("{name}.lock"));
        CompileLock::take(&path).map_err(|error| LoadError::Cache {
            path,
            message: error.to_string(),
        })
    }

    /// Stores compiled bytes atomically.
    ///
    /// # Errors
    ///
    /// [`LoadError::Cache`] when the folder is full, read-only or missing.
    pub(crate) fn store(&self, name: &ModuleName, compiled: &[u8]) -> Result<(), LoadError> {
        self.store_with(name, compiled, &self.mac_of(name, compiled))
    }

    /// Stores the whole file of another cache with the same key. Returns whether it verifies; nothing is
    /// stored otherwise.
    ///
    /// # Errors
    ///
    /// As [`Cache::store`].
    pub(crate) fn receive(&self, name: &ModuleName, file: &[u8]) -> Result<bool, LoadError> {
        let Some((compiled, mac)) = file.split_last_chunk::<MAC_LENGTH>() else {
            return Ok(false);
        };
        let expected = self.mac_of(name, compiled);
        // blake3 compares in constant time.
        if expected != blake3::Hash::from_bytes(*mac) {
            return Ok(false);
        }
        self.store_with(name, compiled, &expected).map(|()| true)
    }

    /// Reads the whole file of a module, for another cache with the same key; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`LoadError::Cache`] when the file exists but cannot be read.
    pub(crate) fn read(&self, name: &ModuleName) -> Result<Option<Vec<u8>>, LoadError> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(LoadError::Cache {
                path,
                message: error.to_string(),
            }),
        }
    }

    fn store_with(
        &self,
        name: &ModuleName,
        compiled: &[u8],
        mac: &blake3::Hash,
    ) -> Result<(), LoadError> {
        let path = self.path(name);
        self.write(compiled, mac, &path)
            .map_err(|error| LoadError::Cache {
                path,
                message: error.to_string(),
            })
    }

    fn write(&self, compiled: &[u8], mac: &blake3::Hash, path: &Path) -> io::Result<()> {
        let mut temporary = temporary::make(&self.folder)?;
        temporary.write_all(compiled)?;
        temporary.write_all(mac.as_bytes())?;
        // A process that received the file may open it again as another user. The folder's mode
        // keeps it from all other users.
        temporary
            .as_file()
            .set_permissions(fs::Permissions::from_mode(0o444))?;
        temporary.as_file().sync_all()?;
        temporary.persist(path)?;
        File::open(&self.folder)?.sync_all()?;
        // Removes files of processes that were killed while writing since this cache was opened.
        temporary::remove_leftovers(&self.folder)
    }

    fn mac_of(&self, name: &ModuleName, compiled: &[u8]) -> blake3::Hash {
        self.mac(name).update(compiled).finalize()
    }

    fn mac(&self, name: &ModuleName) -> blake3::Hasher {
        let mut mac = blake3::Hasher::new_keyed(self.key.as_bytes());
        mac.update(CONTEXT);
        mac.update(name.as_str().as_bytes());
        mac
    }

    fn verifies(&self, name: &ModuleName, file: &mut File) -> io::Result<bool> {
        let length = file.metadata()?.len();
        let Some(payload) = length.checked_sub(MAC_LENGTH as u64) else {
            return Ok(false);
        };
        let mut mac = self.mac(name);
        let mut buffer = vec![0; 256 << 10];
        let mut rest = payload;
        while rest > 0 {
            let want = buffer
                .len()
                .min(usize::try_from(rest).unwrap_or(usize::MAX));
            let chunk = &mut buffer[..want];
            file.read_exact(chunk)?;
            mac.update(chunk);
            rest -= want as u64;
        }
        let mut stored = [0; MAC_LENGTH];
        file.read_exact(&mut stored)?;
        file.rewind()?;
        // blake3 compares in constant time.
        Ok(mac.finalize() == blake3::Hash::from_bytes(stored))
    }
}

/// The key of a folder, which is made if it is missing.
fn own_key(folder: &Path) -> Result<CacheKey, EngineError> {
    let path = folder.join("key");
    let mut bytes = read_or_make_key(&path).map_err(|source| EngineError::Cache {
        path: path.clone(),
        source,
    })?;
    let key = CacheKey::new(&bytes).map_err(|_| EngineError::CacheKey { path });
    bytes.fill(0);
    std::hint::black_box(&bytes);
    key
}

/// Reads the key file. If it is missing, a new random key is put in place atomically; the first of
/// two racing processes wins.
fn read_or_make_key(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    let mut key = [0; blake3::KEY_LEN];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut temporary = temporary::make(folder)?;
    temporary.as_file_mut().write_all(&key)?;
    temporary.as_file().sync_all()?;
    match temporary.persist_noclobber(path) {
        Ok(_) => Ok(key.to_vec()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => fs::read(path),
        Err(error) => Err(error.error),
    }
}

/// Maps compiled code into the process.
#[expect(
    unsafe_code,
    reason = "loading compiled code is what this module exists for"
)]
fn deserialize(
    engine: &Engine,
    Verified(file): &Verified,
    component: bool,
) -> wasmtime::Result<Code> {
    // Opens the verified file itself, even if another file has its name since.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: deserialisation asks that the bytes come from wasmtime's own compiler and do not
    // change while they are mapped. `Cache::find` is the only maker of a `Verified`; it has verified,
    // through this descriptor, a keyed hash that only `Cache::store` makes, here or in a process that
    // was given the same key, over bytes that our own compiler process wrote. Files are never written
    // in place, only replaced by renaming.
    unsafe {
        if component {
            Component::deserialize_file(engine, path).map(Code::Component)
        } else {
            Module::deserialize_file(engine, path).map(Code::Module)
        }
    }
}

/// The `sha256:...` digest of an artifact's bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
