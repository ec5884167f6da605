//! Loading functions: read, tell the kind, compile or take from the cache, link.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sampan_spec::{Function, HttpMode};
use tokio::io::AsyncReadExt as _;

use crate::cache::{Cache, Key, digest};
use crate::client;
use crate::compile::{Compiler, Job};
use crate::config::{EngineConfig, Flavour, runtime};
use crate::error::{EngineError, LoadError};
use crate::function::{Inner, LoadedFunction, Watched};
use crate::idle::Spares;
use crate::kind::{Kind, Surface};
use crate::link;
use crate::module::{Linkers, Module};
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
    sequential: wasmtime::Engine,
    concurrent: wasmtime::Engine,
    linkers: Linkers,
    cache: Cache,
    compiler: Compiler,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    spares: Arc<Spares>,
    pub(crate) ticker: Ticker,
    pub(crate) module_idle: Option<Duration>,
    watched: Arc<Mutex<Watched>>,
}

/// What the ticker's thread does for one engine.
struct Upkeep {
    sequential: wasmtime::Engine,
    concurrent: wasmtime::Engine,
    watched: Arc<Mutex<Watched>>,
}

impl Work for Upkeep {
    fn tick(&self) {
        self.sequential.increment_epoch();
        self.concurrent.increment_epoch();
    }

    fn sweep(&self) -> bool {
        let watched =
            std::mem::take(&mut *self.watched.lock().unwrap_or_else(PoisonError::into_inner));
        let left: Watched = watched
            .into_iter()
            .filter(|function| function.upgrade().is_some_and(|function| function.sweep()))
            .collect();
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
        let failed = |error: wasmtime::Error| EngineError::Wasmtime(format!("{error:#}"));
        let cache = Cache::open(&config.cache)?;
        let sequential =
            wasmtime::Engine::new(&runtime(Flavour::Sequential, config)).map_err(failed)?;
        let concurrent =
            wasmtime::Engine::new(&runtime(Flavour::Concurrent, config)).map_err(failed)?;
        let linkers = Linkers {
            sequential: link::sequential(&sequential).map_err(failed)?,
            concurrent: link::concurrent(&concurrent).map_err(failed)?,
            preview1: link::preview1(&sequential).map_err(failed)?,
        };
        let tls = client::tls().map_err(|error| EngineError::Wasmtime(error.to_string()))?;
        let watched = Arc::new(Mutex::new(Watched::new()));
        let ticker = Ticker::start(Upkeep {
            sequential: sequential.clone(),
            concurrent: concurrent.clone(),
            watched: Arc::clone(&watched),
        })
        .map_err(EngineError::Thread)?;
        Ok(Self(Arc::new(Shared {
            sequential,
            concurrent,
            linkers,
            cache,
            compiler: Compiler::new(config.compiler.clone()),
            tls,
            spares: Spares::of(config.instances),
            ticker,
            module_idle: config.module_idle,
            watched,
        })))
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
        let surface = Surface::read(&bytes)?;
        let kind = surface.kind()?;
        if kind.handles_http() && function.http == HttpMode::Cgi {
            return Err(LoadError::WrongKind {
                kind,
                advice: "leave out `http: cgi`, which is for commands",
            });
        }
        if kind != Kind::CommandPreview1 {
            let names = link::missing(&surface.imports, kind == Kind::HttpHandler03);
            if !names.is_empty() {
                return Err(LoadError::MissingImports { names });
            }
        }
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

impl Shared {
    fn engine(&self, kind: Kind) -> &wasmtime::Engine {
        match Flavour::of(kind) {
            Flavour::Sequential => &self.sequential,
            Flavour::Concurrent => &self.concurrent,
        }
    }

    pub(crate) fn spares(&self) -> &Arc<Spares> {
        &self.spares
    }

    fn key(&self, kind: Kind, digest: &str) -> Key {
        Key::new(digest, self.engine(kind), Flavour::of(kind))
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
        observer.cache(false);
        let started = Instant::now();
        let compiled = self
            .compiler
            .compile(Job {
                wasm: bytes.clone(),
                flavour: Flavour::of(kind),
                component: kind != Kind::CommandPreview1,
                limits: &function.limits,
            })
            .await?;
        observer.compiled(started.elapsed());
        self.cache.store(&self.key(kind, digest), &compiled)?;
        self.cached(kind, digest)?.ok_or_else(|| {
            LoadError::Link("the module just compiled is gone from the cache".into())
        })
    }

    fn cached(&self, kind: Kind, digest: &str) -> Result<Option<Module>, LoadError> {
        let engine = self.engine(kind);
        let component = kind != Kind::CommandPreview1;
        let Some(code) = self
            .cache
            .load(&self.key(kind, digest), engine, component)?
        else {
            return Ok(None);
        };
        Module::link(kind, &code, engine, &self.linkers).map(Some)
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
    }
}

impl Wasm {
    async fn read(&self, limit: u64) -> Result<Bytes, LoadError> {
        let (bytes, size) = match self {
            Self::Bytes(bytes) => (bytes.clone(), bytes.len() as u64),
            Self::File(path) => {
                let bytes = read_file(path, limit)
                    .await
                    .map_err(|error| LoadError::Read {
                        path: path.clone(),
                        message: error.to_string(),
                    })?;
                let size = bytes.len() as u64;
                (Bytes::from(bytes), size)
            }
        };
        if size > limit {
            return Err(LoadError::ArtifactSize { size, limit });
        }
        Ok(bytes)
    }
}

/// Reads a file, but no more than one byte past `limit`.
async fn read_file(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let file = tokio::fs::File::open(path).await?;
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .await?;
    Ok(bytes)
}
