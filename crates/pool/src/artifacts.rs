//! Modules of images on the pod's disk, pulled once for each image.
//!
//! A function gets a module only if the registry lets its own credentials read the image, or did so
//! before: a module that another function has pulled is no way around a pull secret. Bytes come
//! verified from [`sampan_artifact`]; when they are read again, the engine's digest is compared.
//!
//! Layout of the folder: `images/DIGEST` has the digest of the module of an image, and
//! `modules/DIGEST.wasm` is that module.

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
use crate::version::Image;

/// Images that are asked for at once at one registry.
const REQUESTS: usize = 4;

/// A module of an image, on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Artifact {
    /// The digest of the image.
    pub(crate) image: Digest,
    /// The digest of the module.
    pub(crate) module: Digest,
    pub(crate) path: PathBuf,
}

/// The images of a pod.
pub(crate) struct Artifacts {
    folder: PathBuf,
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
            && let Some(artifact) = self.find(digest).await?
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
                // The next credentials may be the right ones.
                Err(PoolError::Pull { hint, source })
                    if matches!(*source, Error::Unauthorized { .. }) =>
                {
                    refused = Some(PoolError::Pull { hint, source });
                }
                Err(error) => return Err(error),
            }
        }
        // Without a login there is one attempt, and with some there is one for each.
        Err(refused.unwrap_or(PoolError::NeverPulled))
    }

    /// The module of an image that was pulled before, if it is still there.
    pub(crate) async fn find(&self, image: Digest) -> Result<Option<Artifact>, PoolError> {
        let (index, modules) = (self.index(&image), self.folder.join("modules"));
        let found = spawn_blocking(move || -> io::Result<Option<Artifact>> {
            let module = match fs::read_to_string(&index) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            // A file that was written in part counts as missing, and is written again.
            let Ok(module) = module.parse::<Digest>() else {
                return Ok(None);
            };
            let path = module_path(&modules, &module);
            Ok(path.try_exists()?.then_some(Artifact {
                image,
                module,
                path,
            }))
        });
        let found = found
            .await
            .map_err(io::Error::other)
            .and_then(|found| found);
        found.map_err(|source| self.keep_failed(source))
    }

    /// Removes a module that was damaged, so that it is pulled again.
    pub(crate) async fn remove(&self, artifact: &Artifact) -> Result<(), PoolError> {
        let (index, module) = (self.index(&artifact.image), artifact.path.clone());
        let removed = spawn_blocking(move || -> io::Result<()> {
            for path in [index, module] {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        });
        let removed = removed.await.map_err(io::Error::other);
        let removed = removed.and_then(|removed| removed);
        removed.map_err(|source| self.keep_failed(source))
    }

    /// Removes all images but these. Call it while nothing is pulled.
    pub(crate) async fn retain(&self, used: Vec<Artifact>) -> Result<(), PoolError> {
        let images: HashSet<Digest> = used.iter().map(|one| one.image.clone()).collect();
        self.allowed().retain(|_, image| images.contains(image));
        let indexes = images.iter().map(|image| self.index(image));
        let modules = used.into_iter().map(|one| one.path);
        let kept: HashSet<PathBuf> = indexes.chain(modules).collect();
        let folders = ["images", "modules"].map(|folder| self.folder.join(folder));
        let removed = spawn_blocking(move || -> io::Result<()> {
            for entry in folders
                .iter()
                .map(fs::read_dir)
                .collect::<Result<Vec<_>, _>>()?
            {
                for entry in entry {
                    let path = entry?.path();
                    if !kept.contains(&path) {
                        fs::remove_file(&path)?;
                    }
                }
            }
            Ok(())
        });
        let removed = removed.await.map_err(io::Error::other);
        let removed = removed.and_then(|removed| removed);
        removed.map_err(|source| self.keep_failed(source))
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
        let artifact = if let Some(artifact) = self.find(digest.clone()).await? {
            artifact
        } else {
            let exact = image.reference.at(&digest);
            let registry = self.registry(exact, login).map_err(failed)?;
            let _permit = self.downloads.acquire().await.ok();
            let silent: sampan_artifact::Observer = Arc::new(|_| {});
            let pulled = pull(&registry, most, &silent).await.map_err(failed)?;
            self.keep(digest, pulled.wasm_digest, pulled.wasm.to_vec())
                .await?
        };
        let key = (image.reference.clone(), login.cloned());
        self.allowed().insert(key, artifact.image.clone());
        Ok(artifact)
    }

    async fn keep(
        &self,
        image: Digest,
        module: Digest,
        bytes: Vec<u8>,
    ) -> Result<Artifact, PoolError> {
        let (index, modules) = (self.index(&image), self.folder.join("modules"));
        let kept = spawn_blocking(move || {
            let path = module_path(&modules, &module);
            store(&path, &bytes, true)?;
            store(&index, module.as_str().as_bytes(), true)?;
            Ok::<_, StoreError>(Artifact {
                image,
                module,
                path,
            })
        });
        let kept = kept.await.map_err(io::Error::other);
        kept.map_err(|source| self.keep_failed(source))?
            .map_err(|error| match error {
                StoreError::Write { source, .. } => self.keep_failed(source),
                StoreError::Exists { .. } => self.keep_failed(io::Error::other(error)),
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

    fn index(&self, image: &Digest) -> PathBuf {
        self.folder
            .join("images")
            .join(image.as_str().replace(':', "-"))
    }

    fn keep_failed(&self, source: io::Error) -> PoolError {
        PoolError::Keep {
            folder: self.folder.display().to_string(),
            source,
        }
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
