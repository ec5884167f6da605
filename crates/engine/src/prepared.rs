//! Modules made ready by one process for another that must see neither the cache nor its key.
//!
//! A [`Workshop`] reads, checks and compiles; what leaves it is [`Prepared`], an open file of compiled
//! code that the cache has verified through that very descriptor. A child that is forked with it loads
//! it with [`LoadedFunction::of_prepared`]. It cannot change the file, whoever it runs as. There is no other way to make one: not from a path, and not
//! from a descriptor.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use sampan_spec::Function;

use crate::cache::{Cache, Key, Verified, digest};
use crate::compile::{Compiler, Job};
use crate::config::{EngineConfig, Flavour, compiler};
use crate::engine::{Shared, Source, Wasm, checked_kind};
use crate::error::{EngineError, LoadError};
use crate::function::{Inner, LoadedFunction};
use crate::ground::Ground;
use crate::kind::Kind;
use crate::module::Module;
use crate::observer::Observer;

/// Prepares modules. It starts no thread and leaves no descriptor open but those of what it prepared,
/// so that its process may fork.
pub struct Workshop {
    cache: Cache,
    compiler: Compiler,
}

/// A module that was compiled and verified: see the module's documentation.
#[derive(Clone)]
pub struct Prepared {
    pub(crate) kind: Kind,
    pub(crate) digest: String,
    pub(crate) code: Arc<Verified>,
}

impl Prepared {
    /// What the file was.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The `sha256:...` digest of the WebAssembly.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// The open file, for a process that closes all descriptors but those it knows.
impl AsFd for Prepared {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.code.as_fd()
    }
}

impl Workshop {
    /// Opens the cache, making it when it is not there.
    ///
    /// # Errors
    ///
    /// [`EngineError`], when the cache folder cannot be used.
    pub fn open(config: &EngineConfig) -> Result<Self, EngineError> {
        Ok(Self {
            cache: Cache::open(&config.cache)?,
            compiler: Compiler::new(config.compiler.clone()),
        })
    }

    /// Reads and checks a function's WebAssembly, and takes it from the cache or compiles it into the
    /// cache. Of several processes that want the same module one compiles and the others wait. Blocks;
    /// it is not for asynchronous code. What is prepared cannot be changed by whoever is given it, for
    /// which this process has to be privileged.
    ///
    /// # Errors
    ///
    /// [`LoadError`], naming what is wrong with the file, with the specification or with the cache.
    pub fn prepare(
        &self,
        function: &Function,
        wasm: &Wasm,
        observer: &dyn Observer,
    ) -> Result<Prepared, LoadError> {
        let bytes = wasm.read_blocking(function.limits.artifact.bytes())?;
        let kind = checked_kind(function, &bytes)?;
        let flavour = Flavour::of(kind);
        let digest = digest(&bytes);
        let engine = wasmtime::Engine::new(&compiler(flavour))
            .map_err(|error| LoadError::Compiler(format!("{error:#}")))?;
        let key = Key::new(&digest, &engine, flavour);
        drop(engine);
        let found = |code: Verified| {
            code.give_away().map_err(|error| LoadError::Cache {
                path: self.cache.path(&key),
                message: format!("giving the compiled module away: {error}"),
            })?;
            Ok(Prepared {
                kind,
                digest: digest.clone(),
                code: Arc::new(code),
            })
        };
        if let Some(code) = self.cache.find(&key)? {
            observer.cache(true);
            return found(code);
        }
        let _lock = self.cache.lock(&key)?;
        // Whoever held the lock before may have compiled it.
        if let Some(code) = self.cache.find(&key)? {
            observer.cache(true);
            return found(code);
        }
        observer.cache(false);
        let started = Instant::now();
        let job = Job {
            wasm: bytes,
            flavour,
            component: kind != Kind::CommandPreview1,
            limits: &function.limits,
        };
        let compiled = self.compiler.compile_blocking(&job)?;
        observer.compiled(started.elapsed());
        self.cache.store(&key, &compiled)?;
        let code = self.cache.find(&key)?.ok_or_else(|| {
            LoadError::Link("the module just compiled is gone from the cache".into())
        })?;
        found(code)
    }
}

impl LoadedFunction {
    /// Makes a prepared function ready to be called, on an engine of its own that has room for this
    /// function alone. `give_back` is what [`EngineConfig::give_back`] says.
    ///
    /// # Errors
    ///
    /// [`LoadError`], when the engine does not start or the module does not link.
    pub fn of_prepared(
        prepared: Prepared,
        function: Arc<Function>,
        observer: Arc<dyn Observer>,
        give_back: fn(),
    ) -> Result<Self, LoadError> {
        let Prepared { kind, digest, code } = prepared;
        let failed = |error: EngineError| LoadError::Engine(error.to_string());
        let config = EngineConfig {
            give_back,
            ..pool_for(&function)
        };
        let ground = Ground::of_kind(kind, &config).map_err(failed)?;
        let module = Module::link(
            kind,
            &code.load(&ground.engine, kind != Kind::CommandPreview1)?,
            &ground,
        )?;
        let shared = Shared::new([ground], Source::Prepared(code), &config).map_err(failed)?;
        let shared = Arc::new(shared);
        // It is loaded again from the descriptor, so there are no bytes to read again.
        let wasm = Wasm::Bytes(bytes::Bytes::new());
        let inner = Inner::new(
            function,
            observer,
            kind,
            digest,
            wasm,
            Arc::clone(&shared),
            module,
        );
        shared.watch(Arc::downgrade(&inner));
        Ok(Self(inner))
    }
}

/// As many instances as one function may have at once, and a few spares.
fn pool_for(function: &Function) -> EngineConfig {
    /// A command has one instance, and few commands more than one memory.
    const LEAST: u32 = 16;
    let concurrency = function.limits.concurrency;
    let mut config = EngineConfig::without_compiler();
    config.instances = concurrency.saturating_add(concurrency / 3).max(LEAST);
    config.max_memory = function.limits.memory.bytes();
    config
}
