//! Loading functions: read, tell the kind, compile or take from the cache, link.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sampan_spec::{Function, HttpMode};
use tokio::io::AsyncReadExt as _;

use crate::cache::{Cache, Key, Verified, digest};
use crate::client;
use crate::compile::{Compiler, Job};
use crate::config::{EngineConfig, Flavour};
use crate::error::{EngineError, LoadError};
use crate::function::{Inner, LoadedFunction, Watched};
use crate::ground::Ground;
use crate::idle::Spares;
use crate::kind::{Kind, Surface};
use crate::link;
use crate::module::Module;
use crate::observer::Observer;
use crate::ticker::{Ticker, Work};

/// Compiles and runs functions. Cheap to clone; all clones are one engine.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

/// Where a function's WebAssembly is.
#[derive(Clone, Debug)]
pub enum Wasm {
    /// In a file, read when it is needed.
    File(PathBuf),
    /// In memory.
    Bytes(Bytes),
}

pub(crate) struct Shared {
    grounds: Vec<Ground>,
    source: Source,
    tls: OnceLock<Arc<rustls::ClientConfig>>,
    spares: Arc<Spares>,
    pub(crate) ticker: Ticker,
    pub(crate) module_idle: Option<Duration>,
    watched: Arc<Mutex<Watched>>,
}

/// Where modules come from.
pub(crate) enum Source {
    /// The cache, and what fills it.
    Cache {
        cache: Cache,
        compiler: Box<Compiler>,
    },
    /// The one module that was prepared for this process.
    Prepared(Arc<Verified>),
}

/// What the ticker's thread does for one engine.
struct Upkeep {
    engines: Vec<wasmtime::Engine>,
    watched: Arc<Mutex<Watched>>,
    give_back: fn(),
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
            (self.give_back)();
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
        let grounds = [
            Ground::new(Flavour::Sequential, config)?,
            Ground::new(Flavour::Concurrent, config)?,
        ];
        Ok(Self(Arc::new(Shared::new(grounds, source, config)?)))
    }

    /// Makes a function ready to be called. Takes microseconds when the cache has it, a tenth of a
    /// second for a Rust component and many seconds for a component with a language engine in it.
    ///
    /// # Errors
    ///
    /// [`LoadError`], naming what is wrong with the file, with the specification or with the cache.
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
        );
        self.0.watch(Arc::downgrade(&inner));
        Ok(LoadedFunction(inner))
    }
}

/// What the bytes are, when they can be this function: told without compiling them.
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
        let names = link::missing(&surface.imports, kind == Kind::HttpHandler03);
        if !names.is_empty() {
            return Err(LoadError::MissingImports { names });
        }
    }
    Ok(kind)
}

impl Shared {
    /// Starts the clock of these engines.
    pub(crate) fn new(
        grounds: impl IntoIterator<Item = Ground>,
        source: Source,
        config: &EngineConfig,
    ) -> Result<Self, EngineError> {
        let grounds: Vec<_> = grounds.into_iter().collect();
        let watched = Arc::new(Mutex::new(Watched::new()));
        let ticker = Ticker::start(Upkeep {
            engines: grounds.iter().map(|ground| ground.engine.clone()).collect(),
            watched: Arc::clone(&watched),
            give_back: config.give_back,
        })
        .map_err(EngineError::Thread)?;
        Ok(Self {
            grounds,
            source,
            tls: OnceLock::new(),
            spares: Spares::of(config.instances),
            ticker,
            module_idle: config.module_idle,
            watched,
        })
    }

    pub(crate) fn ground(&self, kind: Kind) -> Result<&Ground, LoadError> {
        let flavour = Flavour::of(kind);
        self.grounds
            .iter()
            .find(|ground| ground.flavour == flavour)
            .ok_or_else(|| LoadError::Engine(format!("this engine does not run {kind}")))
    }

    /// The TLS of outbound calls, made when it is first needed: its roots take memory that most
    /// functions never use.
    pub(crate) fn tls(&self) -> &Arc<rustls::ClientConfig> {
        self.tls.get_or_init(client::tls)
    }

    pub(crate) fn spares(&self) -> &Arc<Spares> {
        &self.spares
    }

    /// Takes a module from the cache, or compiles it into the cache and takes it from there.
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
        let engine = &self.ground(kind)?.engine;
        let key = Key::new(digest, engine, Flavour::of(kind));
        let alone = compiler.starts_nothing().await;
        cache.store(&key, &compiled)?;
        drop(alone);
        self.cached(kind, digest)?.ok_or_else(|| {
            LoadError::Link("the module just compiled is gone from the cache".into())
        })
    }

    fn cached(&self, kind: Kind, digest: &str) -> Result<Option<Module>, LoadError> {
        let ground = self.ground(kind)?;
        let component = kind != Kind::CommandPreview1;
        let code = match &self.source {
            Source::Prepared(verified) => Some(verified.load(&ground.engine, component)?),
            Source::Cache { cache, .. } => {
                let key = Key::new(digest, &ground.engine, Flavour::of(kind));
                cache.load(&key, &ground.engine, component)?
            }
        };
        code.map(|code| Module::link(kind, &code, ground))
            .transpose()
    }

    /// Takes a module that was put aside from the cache again, or compiles it again when the cache
    /// has lost it and the file is still the same.
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

    /// Has a function looked at until nothing of it lies idle in memory.
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

    /// The same for a process without an asynchronous runtime.
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

/// Reads a file, but no more than one byte past `limit`.
async fn read_file(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let file = tokio::fs::File::open(path).await?;
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::take(file, limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .await?;
    Ok(bytes)
}
