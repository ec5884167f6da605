//! Loads functions: reads, classifies, compiles or takes from the cache, and links.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sampan_spec::{Function, HttpMode};
use tokio::io::AsyncReadExt as _;

use crate::cache::{Cache, Key, Verified, digest};
use crate::compile::{Compiler, Job};
use crate::config::{EngineConfig, Flavour};
use crate::error::{EngineError, LoadError};
use crate::function::{Inner, LoadedFunction, Watched};
use crate::guests::Guests;
use crate::idle::PrewarmBudget;
use crate::kind::Kind;
use crate::linker;
use crate::module::Module;
use crate::observer::Observer;
use crate::runtime::Runtime;
use crate::surface::Surface;
use crate::ticker::{Ticker, Work};
use crate::trust::Authorities;

/// Compiles and runs functions. Clones are cheap and share one engine.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

/// The source of a function's WebAssembly.
#[derive(Clone, Debug)]
pub enum Wasm {
    /// A file, read on demand.
    File(PathBuf),
    /// Bytes in memory.
    Bytes(Bytes),
}

pub(crate) struct Shared {
    runtimes: Vec<Runtime>,
    source: Source,
    pub(crate) authorities: Authorities,
    tls: OnceLock<Arc<rustls::ClientConfig>>,
    prewarm_budget: Arc<PrewarmBudget>,
    pub(crate) ticker: Ticker,
    pub(crate) guests: Guests,
    pub(crate) module_idle: Option<Duration>,
    watched: Arc<Mutex<Watched>>,
}

/// The source of modules.
pub(crate) enum Source {
    /// The cache, with the compiler that fills it.
    Cache {
        cache: Cache,
        compiler: Box<Compiler>,
    },
    /// The one module that was prepared for this process.
    Prepared(Arc<Verified>),
}

/// The ticker's work for one engine.
struct Upkeep {
    engines: Vec<wasmtime::Engine>,
    watched: Arc<Mutex<Watched>>,
    release_memory: fn(),
}

impl Work for Upkeep {
    fn tick(&self) {
        for engine in &self.engines {
            engine.increment_epoch();
        }
    }

    fn sweep(&self) -> bool {
        let watched =
            std::mem::take(&mut *self.watched.lock().unwrap_or_else(PoisonError::into_inner));
        let all = watched.len();
        let left: Watched = watched
            .into_iter()
            .filter(|function| function.upgrade().is_some_and(|function| function.sweep()))
            .collect();
        if left.len() < all {
            (self.release_memory)();
        }
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.extend(left);
        !watched.is_empty()
    }
}

impl Engine {
    /// Starts an engine.
    ///
    /// # Errors
    ///
    /// [`EngineError`], when the cache folder cannot be used or memory cannot be reserved.
    pub fn new(config: &EngineConfig) -> Result<Self, EngineError> {
        let source = Source::Cache {
            cache: Cache::open(&config.cache)?,
            compiler: Box::new(Compiler::new(config.compiler.clone())),
        };
        let runtimes = [
            Runtime::new(Flavour::Sequential, config)?,
            Runtime::new(Flavour::Concurrent, config)?,
        ];
        Ok(Self(Arc::new(Shared::new(runtimes, source, config)?)))
    }

    /// The guests that go on after their answers.
    pub fn guests(&self) -> &Guests {
        &self.0.guests
    }

    /// Loads a function. This takes microseconds from the cache, a tenth of a second for a Rust
    /// component, and many seconds for a component that contains a language engine.
    ///
    /// # Errors
    ///
    /// [`LoadError`], which names the fault in the file, the specification or the cache.
    pub async fn load(
        &self,
        function: Arc<Function>,
        wasm: Wasm,
        observer: Arc<dyn Observer>,
    ) -> Result<LoadedFunction, LoadError> {
        let bytes = wasm.read(function.limits.artifact.bytes()).await?;
        let kind = checked_kind(&function, &bytes)?;
        let digest = digest(&bytes);
        let module = self
            .0
            .module(kind, &digest, &function, &bytes, &*observer)
            .await?;
        let inner = Inner::new(
            function,
            observer,
            kind,
            digest,
            wasm,
            Arc::clone(&self.0),
            module,
        )?;
        self.0.watch(Arc::downgrade(&inner));
        Ok(LoadedFunction(inner))
    }
}

/// Classifies the bytes and checks that they fit the function. Compiles nothing.
pub(crate) fn checked_kind(function: &Function, bytes: &[u8]) -> Result<Kind, LoadError> {
    let surface = Surface::read(bytes)?;
    let kind = surface.kind()?;
    let advice = match function.http {
        Some(HttpMode::Cgi) if kind.handles_http() => {
            Some("leave out `http: cgi`, which is for commands")
        }
        Some(HttpMode::Handler) if !kind.handles_http() => {
            Some("write `http: cgi` if it answers the CGI way, or run it as a command")
        }
        _ => None,
    };
    if let Some(advice) = advice {
        return Err(LoadError::WrongKind { kind, advice });
    }
    if kind != Kind::CommandPreview1 {
        let names = linker::missing(&surface.imports, kind == Kind::HttpHandler03);
        if !names.is_empty() {
            return Err(LoadError::MissingImports { names });
        }
    }
    Ok(kind)
}

impl Shared {
    /// Starts the ticker of these engines.
    pub(crate) fn new(
        runtimes: impl IntoIterator<Item = Runtime>,
        source: Source,
        config: &EngineConfig,
    ) -> Result<Self, EngineError> {
        let runtimes: Vec<_> = runtimes.into_iter().collect();
        let watched = Arc::new(Mutex::new(Watched::new()));
        let ticker = Ticker::start(Upkeep {
            engines: runtimes
                .iter()
                .map(|runtime| runtime.engine.clone())
                .collect(),
            watched: Arc::clone(&watched),
            release_memory: config.release_memory,
        })
        .map_err(EngineError::Thread)?;
        Ok(Self {
            runtimes,
            source,
            authorities: config.authorities.clone(),
            tls: OnceLock::new(),
            prewarm_budget: PrewarmBudget::of(config.instances),
            ticker,
            guests: Guests::default(),
            module_idle: config.module_idle,
            watched,
        })
    }

    pub(crate) fn runtime(&self, kind: Kind) -> Result<&Runtime, LoadError> {
        let flavour = Flavour::of(kind);
        self.runtimes
            .iter()
            .find(|runtime| runtime.flavour == flavour)
            .ok_or_else(|| LoadError::Engine(format!("this engine does not run {kind}")))
    }

    /// The TLS configuration of outbound calls, made on first use. Its roots take memory that most
    /// functions never need.
    pub(crate) fn tls(&self) -> &Arc<rustls::ClientConfig> {
        self.tls.get_or_init(|| self.authorities.config())
    }

    pub(crate) fn prewarm_budget(&self) -> &Arc<PrewarmBudget> {
        &self.prewarm_budget
    }

    /// Takes a module from the cache. If it is missing, compiles it into the cache first.
    async fn module(
        &self,
        kind: Kind,
        digest: &str,
        function: &Function,
        bytes: &Bytes,
        observer: &dyn Observer,
    ) -> Result<Module, LoadError> {
        if let Some(module) = self.cached(kind, digest)? {
            observer.cache(true);
            return Ok(module);
        }
        let Source::Cache { cache, compiler } = &self.source else {
            return Err(LoadError::Engine("this engine compiles nothing".into()));
        };
        observer.cache(false);
        let started = Instant::now();
        let compiled = compiler
            .compile(Job {
                wasm: bytes.clone(),
                flavour: Flavour::of(kind),
                component: kind != Kind::CommandPreview1,
                limits: &function.limits,
            })
            .await?;
        observer.compiled(started.elapsed());
        let engine = &self.runtime(kind)?.engine;
        let key = Key::new(digest, engine, Flavour::of(kind));
        let alone = compiler.block_spawns().await;
        cache.store(&key, &compiled)?;
        drop(alone);
        self.cached(kind, digest)?.ok_or_else(|| {
            LoadError::Link("the module just compiled is gone from the cache".into())
        })
    }

    fn cached(&self, kind: Kind, digest: &str) -> Result<Option<Module>, LoadError> {
        let runtime = self.runtime(kind)?;
        let component = kind != Kind::CommandPreview1;
        let code = match &self.source {
            Source::Prepared(verified) => Some(verified.load(&runtime.engine, component)?),
            Source::Cache { cache, .. } => {
                let key = Key::new(digest, &runtime.engine, Flavour::of(kind));
                cache.load(&key, &runtime.engine, component)?
            }
        };
        code.map(|code| Module::link(kind, &code, runtime))
            .transpose()
    }

    /// Takes an unloaded module from the cache again. If the cache has lost it, compiles it again,
    /// provided that the file has not changed.
    pub(crate) async fn reload(&self, inner: &Inner) -> Result<Module, LoadError> {
        if let Some(module) = self.cached(inner.kind, &inner.digest)? {
            inner.observer.cache(true);
            return Ok(module);
        }
        let bytes = inner.wasm.read(inner.spec.limits.artifact.bytes()).await?;
        if digest(&bytes) != inner.digest {
            return Err(LoadError::Link(
                "its file has changed since it was loaded".into(),
            ));
        }
        self.module(
            inner.kind,
            &inner.digest,
            &inner.spec,
            &bytes,
            &*inner.observer,
        )
        .await
    }

    /// Sweeps a function until it has no idle instances or modules in memory.
    pub(crate) fn watch(&self, function: Weak<Inner>) {
        self.watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(function);
        self.ticker.wake();
    }
}

impl Wasm {
    async fn read(&self, limit: u64) -> Result<Bytes, LoadError> {
        let bytes = match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::File(path) => read_file(path, limit)
                .await
                .map_err(|error| unreadable(path, &error))?
                .into(),
        };
        within(bytes, limit)
    }

    /// Like [`Wasm::read`], for a process without an asynchronous runtime.
    pub(crate) fn read_blocking(&self, limit: u64) -> Result<Bytes, LoadError> {
        let bytes = match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::File(path) => {
                let mut bytes = Vec::new();
                std::fs::File::open(path)
                    .and_then(|file| {
                        let mut file = file.take(limit.saturating_add(1));
                        file.read_to_end(&mut bytes)
                    })
                    .map_err(|error| unreadable(path, &error))?;
                bytes.into()
            }
        };
        within(bytes, limit)
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> LoadError {
    LoadError::Read {
        path: path.to_owned(),
        message: error.to_string(),
    }
}

fn within(bytes: Bytes, limit: u64) -> Result<Bytes, LoadError> {
    let size = bytes.len() as u64;
    if size > limit {
        return Err(LoadError::ArtifactSize { size, limit });
    }
    Ok(bytes)
}

/// Reads a file up to one byte past `limit`.
async fn read_file(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let file = tokio::fs::File::open(path).await?;
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::take(file, limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .await?;
    Ok(bytes)
}
