//! Modules that one process compiles and another loads without access to the cache or its key.
//!
//! A [`Precompiler`] reads, checks and compiles. Its result is a [`Prepared`] module: an open file of
//! compiled code that the cache has verified through that descriptor. A forked child loads it with
//! [`LoadedFunction::of_prepared`], and cannot change the file under any user.
//!
//! A [`Prepared`] module cannot be made from a path or from a descriptor.

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
use crate::kind::Kind;
use crate::module::Module;
use crate::observer::Observer;
use crate::runtime::Runtime;

/// Prepares modules. It starts no thread and leaves open only the descriptors of prepared modules,
/// so that its process may fork.
pub struct Precompiler {
    cache: Cache,
    compiler: Compiler,
}

/// A module that was compiled and verified; see the documentation of the Rust module.
#[derive(Clone)]
pub struct Prepared {
    pub(crate) kind: Kind,
    pub(crate) digest: String,
    pub(crate) code: Arc<Verified>,
}

impl Prepared {
    /// The kind of the file.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The `sha256:...` digest of the WebAssembly.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// The open file, for a process that closes all other descriptors.
impl AsFd for Prepared {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.code.as_fd()
    }
}

impl Precompiler {
    /// Opens the cache. Makes it if it is missing.
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

    /// Reads and checks a function's WebAssembly. Takes the module from the cache or compiles it
    /// into the cache. If several processes want the same module, one compiles and the others wait.
    ///
    /// Blocks; do not call it from asynchronous code. This process must be privileged, so that the
    /// processes that receive the module cannot change it.
    ///
    /// # Errors
    ///
    /// [`LoadError`], which names the fault in the file, the specification or the cache.
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
            code.assign_unused_owner()
                .map_err(|error| LoadError::Cache {
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
        // The previous holder of the lock may have compiled it.
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
    /// Makes a prepared function ready to be called, on its own engine with room for this function
    /// only. For `release_memory` see [`EngineConfig::release_memory`].
    ///
    /// # Errors
    ///
    /// [`LoadError`], when the engine does not start or the module does not link.
    pub fn of_prepared(
        prepared: Prepared,
        function: Arc<Function>,
        observer: Arc<dyn Observer>,
        release_memory: fn(),
    ) -> Result<Self, LoadError> {
        let Prepared { kind, digest, code } = prepared;
        let failed = |error: EngineError| LoadError::Engine(error.to_string());
        let config = EngineConfig {
            release_memory,
            ..pool_for(&function)
        };
        let runtime = Runtime::of_kind(kind, &config).map_err(failed)?;
        let module = Module::link(
            kind,
            &code.load(&runtime.engine, kind != Kind::CommandPreview1)?,
            &runtime,
        )?;
        let shared = Shared::new([runtime], Source::Prepared(code), &config).map_err(failed)?;
        let shared = Arc::new(shared);
        // A reload uses the descriptor, so there are no bytes to read again.
        let wasm = Wasm::Bytes(bytes::Bytes::new());
        let inner = Inner::new(
            function,
            observer,
            kind,
            digest,
            wasm,
            Arc::clone(&shared),
            module,
        )?;
        shared.watch(Arc::downgrade(&inner));
        Ok(Self(inner))
    }
}

/// A pool for the concurrency of one function and a few prewarmed instances.
fn pool_for(function: &Function) -> EngineConfig {
    /// A command has one instance, and few commands more than one memory.
    const MIN_INSTANCES: u32 = 16;
    let concurrency = function.limits.concurrency;
    let mut config = EngineConfig::without_compiler();
    config.instances = concurrency
        .saturating_add(concurrency / 3)
        .max(MIN_INSTANCES);
    config.max_memory = function.limits.memory.bytes();
    config
}
