//! Modules of images on the pod's disk, pulled once for each image.
//!
//! A function gets a module only if the registry lets its own credentials read the image, or did so
//! before: a module that another function has pulled is no way around a pull secret. Bytes come
//! verified from [`sampan_artifact`]; when they are read again, the engine's digest is compared.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use sampan_artifact::{
    Digest, Error, Login, Options, Reference, Registry, RetryPolicy, Trust, pull, resolve,
};
use sampan_crd::PullPolicy;
use tokio::sync::{Mutex as Turns, Semaphore};
use tokio::time::timeout;

use crate::error::PoolError;
use crate::image_store::{Artifact, ImageStore};
use crate::leases::Lease;
use crate::version::Image;

/// Images that are asked for at once at one registry.
const REQUESTS: usize = 4;

/// Time limit of a pull with one of the credentials: a slow registry must not hold a download for
/// long.
const PULL_TIMEOUT: Duration = Duration::from_mins(10);

type Turn = Turns<Option<Pulled>>;

/// The result of a pull.
struct Pulled {
    begun: Instant,
    logins: Vec<Login>,
    missing_secrets: Vec<String>,
    most: u64,
    result: Result<Artifact, (String, Arc<Error>)>,
}

impl Pulled {
    /// Whether this is the answer for a function that has asked before the pull began.
    fn answers(&self, image: &Image, most: u64, asked: Instant) -> bool {
        self.begun >= asked
            && self.logins == image.logins
            && self.missing_secrets == image.missing_secrets
            && self.most == most
    }
}

/// The images of a pod.
pub(crate) struct Artifacts {
    store: ImageStore,
    /// Registries without TLS.
    plain_http: HashSet<String>,
    trust: Trust,
    /// Which image a reference was, for each of the credentials that could read it.
    allowed: Mutex<HashMap<(Reference, Option<Login>), Digest>>,
    /// Held while a reference is pulled. What was pulled last is for those that waited meanwhile.
    turns: Mutex<HashMap<Reference, Weak<Turn>>>,
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
        Ok(Self {
            store: ImageStore::open(folder)?,
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
        let asked = Instant::now();
        let turn = self.turn(&image.reference);
        let mut last = turn.lock().await;
        let may_pull = image.policy != PullPolicy::Never;
        let answers = |pulled: &&Pulled| may_pull && pulled.answers(image, most, asked);
        if let Some(pulled) = last.as_ref().filter(answers) {
            let failed = |(hint, source)| PoolError::Pull { hint, source };
            return pulled.result.clone().map_err(failed);
        }
        if image.policy != PullPolicy::Always
            && let Some(digest) = self.allowed_digest(image)
            && let Some(artifact) = self.store.find(self.lease(digest)).await?
        {
            return Ok(artifact);
        }
        if !may_pull {
            return Err(PoolError::NeverPulled);
        }
        let registry = self.registry_permits(&image.reference);
        // Neither semaphore is ever closed.
        let _permit = registry.acquire().await.ok();
        let begun = Instant::now();
        let result = self.pull_with_any(image, most).await;
        let shared = match &result {
            Ok(artifact) => Ok(artifact.clone()),
            Err(PoolError::Pull { hint, source }) => Err((hint.clone(), Arc::clone(source))),
            Err(_) => return result,
        };
        *last = Some(Pulled {
            begun,
            logins: image.logins.clone(),
            missing_secrets: image.missing_secrets.clone(),
            most,
            result: shared,
        });
        result
    }

    /// Keeps an image on the disk, if it is there.
    pub(crate) fn lease(&self, image: Digest) -> Lease {
        self.store.lease(image)
    }

    /// The images on disk.
    pub(crate) fn store(&self) -> &ImageStore {
        &self.store
    }

    /// Removes images without a lease, as [`ImageStore::collect`] does.
    pub(crate) async fn collect(&self) -> Result<Vec<Digest>, PoolError> {
        let is_leased = |image: &mut Digest| self.store.is_leased(image);
        self.allowed().retain(|_, image| is_leased(image));
        self.store.collect().await
    }

    /// Pulls an image with the first of its credentials that the registry accepts.
    async fn pull_with_any(&self, image: &Image, most: u64) -> Result<Artifact, PoolError> {
        let mut refused = None;
        for login in logins(image) {
            let pulled = timeout(PULL_TIMEOUT, self.pull(image, login, most)).await;
            match pulled.unwrap_or_else(|_| Err(too_slow(image))) {
                Ok(artifact) => return Ok(artifact),
                Err(error) if is_answer(&error) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        // Without a login there is one attempt, and with some there is one for each.
        Err(refused.unwrap_or(PoolError::NeverPulled))
    }

    async fn pull(
        &self,
        image: &Image,
        login: Option<&Login>,
        most: u64,
    ) -> Result<Artifact, PoolError> {
        let failed = |error: Error| PoolError::Pull {
            hint: hint(image, login, &error),
            source: Arc::new(error),
        };
        let registry = self
            .registry(image.reference.clone(), login)
            .map_err(failed)?;
        let digest = resolve(&registry).await.map_err(failed)?;
        let lease = self.lease(digest.clone());
        let artifact = if let Some(artifact) = self.store.find(lease.clone()).await? {
            artifact
        } else {
            // Without another handshake and another token.
            let registry = registry.at(&digest);
            let _permit = self.downloads.acquire().await.ok();
            let silent: sampan_artifact::Observer = Arc::new(|_| {});
            let pulled = pull(&registry, most, &silent).await.map_err(failed)?;
            let bytes = pulled.wasm.to_vec();
            self.store.keep(lease, pulled.wasm_digest, bytes).await?
        };
        let key = (image.reference.clone(), login.cloned());
        self.allowed().insert(key, digest);
        Ok(artifact)
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

    fn turn(&self, reference: &Reference) -> Arc<Turn> {
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
}

fn too_slow(image: &Image) -> PoolError {
    PoolError::Pull {
        hint: String::new(),
        source: Arc::new(Error::Slow {
            address: image.reference.registry().to_owned(),
            attempts: 1,
            limit: PULL_TIMEOUT,
        }),
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
