//! Modules of images on the pod's disk, pulled once for each image.
//!
//! A function gets a module only if the registry lets its own credentials read the image, or did so
//! before: a module that another function has pulled is no way around a pull secret. Bytes come
//! verified from [`sampan_artifact`]; when they are read again, the engine's digest is compared.
//!
//! Layout of the folder: `images/DIGEST` has the digest of the module of an image, and
//! `modules/DIGEST.wasm` is that module. Images without a lease are removed at times, and the modules
//! that only they have.

use std::collections::{HashMap, HashSet};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sampan_artifact::{
    Digest, Error, Login, Options, Reference, Registry, RetryPolicy, StoreError, Trust, pull,
    resolve, store,
};
use sampan_crd::PullPolicy;
use tokio::sync::{Mutex as Turns, Semaphore};
use tokio::task::spawn_blocking;

use crate::error::PoolError;
use crate::leases::{Lease, Leases};
use crate::version::Image;

/// Images that are asked for at once at one registry.
const REQUESTS: usize = 4;

/// A module of an image, on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// The image, which stays on the disk meanwhile.
    pub(crate) image: Lease,
    /// The digest of the module.
    pub(crate) module: Digest,
    pub(crate) path: PathBuf,
}

/// The images of a pod.
pub(crate) struct Artifacts {
    folder: PathBuf,
    leases: Leases,
    /// Held while files are written or removed.
    changing: Arc<Mutex<()>>,
    /// Registries without TLS.
    plain_http: HashSet<String>,
    trust: Trust,
    /// Which image a reference was, for each of the credentials that could read it.
    allowed: Mutex<HashMap<(Reference, Option<Login>), Digest>>,
    /// Held while a reference is pulled.
    turns: Mutex<HashMap<Reference, Weak<Turns<()>>>>,
    /// Requests to each registry: one that does not answer keeps no other waiting.
    registries: Mutex<HashMap<String, Weak<Semaphore>>>,
    /// Downloads, each of which has a module in memory.
    downloads: Semaphore,
}

impl Artifacts {
    /// Opens the folder. Makes it if it is missing.
    pub(crate) fn open(
        folder: PathBuf,
        plain_http: impl IntoIterator<Item = String>,
        trust: Trust,
        downloads: usize,
    ) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(folder.join("images"))?;
        builder.create(folder.join("modules"))?;
        Ok(Self {
            folder,
            leases: Leases::default(),
            changing: Arc::default(),
            plain_http: plain_http.into_iter().collect(),
            trust,
            allowed: Mutex::default(),
            turns: Mutex::default(),
            registries: Mutex::default(),
            downloads: Semaphore::new(downloads),
        })
    }

    /// Gets the module of an image, of at most so many bytes, as its policy says.
    pub(crate) async fn get(&self, image: &Image, most: u64) -> Result<Artifact, PoolError> {
        let turn = self.turn(&image.reference);
        let _turn = turn.lock().await;
        if image.policy != PullPolicy::Always
            && let Some(digest) = self.allowed_digest(image)
            && let Some(artifact) = self.find(self.lease(digest)).await?
        {
            return Ok(artifact);
        }
        if image.policy == PullPolicy::Never {
            return Err(PoolError::NeverPulled);
        }
        let registry = self.registry_permits(&image.reference);
        // Neither semaphore is ever closed.
        let _permit = registry.acquire().await.ok();
        let mut refused = None;
        for login in logins(image) {
            match self.pull(image, login, most).await {
                Ok(artifact) => return Ok(artifact),
                Err(error) if is_answer(&error) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        // Without a login there is one attempt, and with some there is one for each.
        Err(refused.unwrap_or(PoolError::NeverPulled))
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
            for path in [index, module] {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        })
        .await
    }

    /// Removes all images without a lease, and modules without an image. Returns the modules that
    /// stay. Functions may be loaded meanwhile.
    pub(crate) async fn collect(&self) -> Result<Vec<Digest>, PoolError> {
        let is_leased = |image: &mut Digest| self.leases.has(image);
        self.allowed().retain(|_, image| is_leased(image));
        let [images, modules] = ["images", "modules"].map(|folder| self.folder.join(folder));
        let (leases, changing) = (self.leases.clone(), Arc::clone(&self.changing));
        self.blocking(move || {
            let _changing = changing.lock().unwrap_or_else(PoisonError::into_inner);
            for (name, path) in files(&images)? {
                leases.remove_unleased(&name, || fs::remove_file(path))?;
            }
            let mut used = HashSet::new();
            for (_, path) in files(&images)? {
                used.extend(read_index(&path)?);
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

    async fn pull(
        &self,
        image: &Image,
        login: Option<&Login>,
        most: u64,
    ) -> Result<Artifact, PoolError> {
        let failed = |error: Error| PoolError::Pull {
            hint: hint(image, login, &error),
            source: Box::new(error),
        };
        let registry = self
            .registry(image.reference.clone(), login)
            .map_err(failed)?;
        let digest = resolve(&registry).await.map_err(failed)?;
        let lease = self.lease(digest.clone());
        let artifact = if let Some(artifact) = self.find(lease.clone()).await? {
            artifact
        } else {
            let exact = image.reference.at(&digest);
            let registry = self.registry(exact, login).map_err(failed)?;
            let _permit = self.downloads.acquire().await.ok();
            let silent: sampan_artifact::Observer = Arc::new(|_| {});
            let pulled = pull(&registry, most, &silent).await.map_err(failed)?;
            self.keep(lease, pulled.wasm_digest, pulled.wasm.to_vec())
                .await?
        };
        let key = (image.reference.clone(), login.cloned());
        self.allowed().insert(key, digest);
        Ok(artifact)
    }

    async fn keep(
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

    fn registry(&self, reference: Reference, login: Option<&Login>) -> Result<Registry, Error> {
        let options = Options {
            plain_http: self.plain_http.contains(reference.registry()),
            login: login.cloned(),
            retry: RetryPolicy::default(),
        };
        Registry::trusting(self.trust, reference, options)
    }

    /// Which image the reference was for one of the credentials.
    fn allowed_digest(&self, image: &Image) -> Option<Digest> {
        let allowed = self.allowed();
        logins(image).into_iter().find_map(|login| {
            let key = (image.reference.clone(), login.cloned());
            allowed.get(&key).cloned()
        })
    }

    fn turn(&self, reference: &Reference) -> Arc<Turns<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(reference).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(reference.clone(), Arc::downgrade(&turn));
        turn
    }

    fn registry_permits(&self, reference: &Reference) -> Arc<Semaphore> {
        let registries = self.registries.lock();
        let mut registries = registries.unwrap_or_else(PoisonError::into_inner);
        if let Some(permits) = registries.get(reference.registry()).and_then(Weak::upgrade) {
            return permits;
        }
        registries.retain(|_, permits| permits.strong_count() > 0);
        let permits = Arc::new(Semaphore::new(REQUESTS));
        registries.insert(reference.registry().to_owned(), Arc::downgrade(&permits));
        permits
    }

    fn allowed(&self) -> MutexGuard<'_, HashMap<(Reference, Option<Login>), Digest>> {
        // No code panics between lock and unlock.
        self.allowed.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Whether the registry has answered, so that other credentials may change the answer: some answer
/// that a private image does not exist. The kubelet tries all of them as well.
fn is_answer(error: &PoolError) -> bool {
    match error {
        PoolError::Pull { source, .. } => !matches!(
            **source,
            Error::Client(_) | Error::Unreachable { .. } | Error::Slow { .. }
        ),
        _ => false,
    }
}

/// The credentials to try, in order: `None` asks without any.
fn logins(image: &Image) -> Vec<Option<&Login>> {
    match image.logins.as_slice() {
        [] => vec![None],
        some => some.iter().map(Some).collect(),
    }
}

/// A digest has only letters, digits and a colon.
fn module_path(modules: &Path, module: &Digest) -> PathBuf {
    modules.join(format!("{}.wasm", module.as_str().replace(':', "-")))
}

/// Advice on an image that its credentials cannot read.
fn hint(image: &Image, login: Option<&Login>, error: &Error) -> String {
    if !matches!(error, Error::Unauthorized { .. } | Error::NotFound(_)) || login.is_some() {
        return String::new();
    }
    match image.missing_secrets.as_slice() {
        [] => String::new(),
        missing => format!(" (these pull secrets do not exist: {})", missing.join(", ")),
    }
}
