//! Modules that one process compiles and another loads without access to the cache or its key.
//!
//! A [`Precompiler`] reads, checks and compiles. Its result is a [`Prepared`] module: an open file of
//! compiled code that the cache has verified through that descriptor. A forked child loads it with
//! [`crate::LoadedFunction::of_prepared`], and cannot change the file under any user.
//!
//! A [`Prepared`] module cannot be made from a path or from a descriptor.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use sampan_spec::Function;

use super::check::checked_kind;
use super::linked::Module;
use super::runtime::Runtime;
use crate::compile::cache::{Cache, Verified, digest};
use crate::compile::compiler::{Compiler, Job};
use crate::compile::config::{EngineConfig, compiler};
use crate::compile::flavour::Flavour;
use crate::compile::module_name::ModuleName;
use crate::compile::wasm::Wasm;
use crate::error::{EngineError, LoadError};
use crate::kind::Kind;
use crate::observer::Observer;

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

    /// Loads the code into the runtime's engine and links it.
    ///
    /// # Errors
    ///
    /// [`LoadError`], when it is of another engine or does not link.
    pub(crate) fn link(&self, runtime: &Runtime) -> Result<Module, LoadError> {
        let code = self.code.load(&runtime.engine, self.kind.is_component())?;
        Module::link(self.kind, &code, runtime)
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
            cache: Cache::open(&config.cache, None)?,
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
        let name = ModuleName::new(&digest, &engine, flavour);
        drop(engine);
        let found = |code: Verified| {
            code.assign_unused_owner()
                .map_err(|error| LoadError::Cache {
                    path: self.cache.path(&name),
                    message: format!("giving the compiled module away: {error}"),
                })?;
            Ok(Prepared {
                kind,
                digest: digest.clone(),
                code: Arc::new(code),
            })
        };
        if let Some(code) = self.cache.find(&name)? {
            observer.cache(true);
            return found(code);
        }
        let _lock = self.cache.lock(&name)?;
        // The previous holder of the lock may have compiled it.
        if let Some(code) = self.cache.find(&name)? {
            observer.cache(true);
            return found(code);
        }
        observer.cache(false);
        let started = Instant::now();
        let job = Job {
            wasm: bytes,
            flavour,
            component: kind.is_component(),
            limits: &function.limits,
        };
        let compiled = self.compiler.compile_blocking(&job)?;
        observer.compiled(started.elapsed());
        self.cache.store(&name, &compiled)?;
        let code = self.cache.find(&name)?.ok_or_else(|| {
            LoadError::Link("the module just compiled is gone from the cache".into())
        })?;
        found(code)
    }
}
