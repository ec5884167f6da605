//! Loads modules for one engine: from the cache, which the compiler fills, or from a prepared module.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sampan_spec::{Function, Limits};

use super::attempts::{Attempts, FailedAttempt};
use super::linked::Module;
use super::runtime::Runtime;
use crate::compile::cache::{Cache, Verified, digest};
use crate::compile::compiler::{Compiler, Job};
use crate::compile::config::EngineConfig;
use crate::compile::flavour::Flavour;
use crate::compile::module_name::ModuleName;
use crate::compile::peers::ModulePeers;
use crate::compile::wasm::Wasm;
use crate::context::engine_context::EngineContext;
use crate::context::function_context::FunctionContext;
use crate::error::{EngineError, LoadError};
use crate::kind::Kind;
use crate::observer::Observer;

pub(crate) struct Loader {
    runtimes: Vec<Runtime>,
    source: Source,
    attempts: Attempts,
    pub(crate) engine: Arc<EngineContext>,
    pub(super) module_idle: Option<Duration>,
}

/// The source of modules.
pub(crate) enum Source {
    /// The cache, with the compiler that fills it.
    Cache {
        cache: Cache,
        compiler: Box<Compiler>,
        /// Other processes that may have a module; `None` for a cache that is not shared.
        peers: Option<Arc<dyn ModulePeers>>,
    },
    /// The one module that was prepared for this process.
    Prepared(Arc<Verified>),
}

impl Loader {
    /// Starts the engine of these runtimes.
    ///
    /// # Errors
    ///
    /// [`EngineError::Thread`], when the operating system refuses another thread.
    pub(crate) fn new(
        runtimes: impl IntoIterator<Item = Runtime>,
        source: Source,
        config: &EngineConfig,
    ) -> Result<Self, EngineError> {
        let runtimes: Vec<_> = runtimes.into_iter().collect();
        let engine = EngineContext::start(
            runtimes
                .iter()
                .map(|runtime| runtime.engine.clone())
                .collect(),
            config,
        )
        .map_err(EngineError::Thread)?;
        Ok(Self {
            runtimes,
            source,
            attempts: Attempts::default(),
            engine: Arc::new(engine),
            module_idle: config.module_idle,
        })
    }

    pub(crate) fn runtime(&self, kind: Kind) -> Result<&Runtime, LoadError> {
        let flavour = Flavour::of(kind);
        self.runtimes
            .iter()
            .find(|runtime| runtime.flavour == flavour)
            .ok_or_else(|| LoadError::Engine(format!("this engine does not run {kind}")))
    }

    /// Takes a module from the cache. If it is missing, gets it from another process or compiles it, into the cache.
    pub(crate) async fn module(
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
        let asked = Instant::now();
        let mut failed = self.attempts.begin(&self.name(kind, digest)?).await;
        // Another function may have it by now, or the attempt of another may have failed.
        if let Some(module) = self.cached(kind, digest)? {
            observer.cache(true);
            return Ok(module);
        }
        let limits = &function.limits;
        if let Some(error) = failed.as_ref().and_then(|last| last.answer(asked, limits)) {
            return Err(error);
        }
        let begun = Instant::now();
        let result = self.obtain(kind, digest, limits, bytes, observer).await;
        if let Err(error) = &result {
            *failed = Some(FailedAttempt::new(begun, limits, error.clone()));
        }
        result
    }

    /// Gets a module from another process or compiles it, into the cache.
    async fn obtain(
        &self,
        kind: Kind,
        digest: &str,
        limits: &Limits,
        bytes: &Bytes,
        observer: &dyn Observer,
    ) -> Result<Module, LoadError> {
        let Source::Cache {
            cache,
            compiler,
            peers,
        } = &self.source
        else {
            return Err(LoadError::Engine("this engine compiles nothing".into()));
        };
        observer.cache(false);
        let name = self.name(kind, digest)?;
        // Dropped when the module is in the cache, or the attempt has failed.
        let missing = peers.as_ref().map(|peers| peers.missing(&name));
        if let Some(missing) = &missing
            && let Some(file) = missing.fetch().await
        {
            let alone = compiler.block_spawns().await;
            let verifies = cache.receive(&name, &file)?;
            drop(alone);
            if !verifies {
                tracing::warn!(module = %name, "a module of another process does not verify; compiling");
            } else if let Some(module) = self.cached(kind, digest)? {
                return Ok(module);
            }
        }
        if let Some(missing) = &missing {
            missing.set_compiling();
        }
        let started = Instant::now();
        let compiled = compiler
            .compile(Job {
                wasm: bytes.clone(),
                flavour: Flavour::of(kind),
                component: kind.is_component(),
                limits,
            })
            .await?;
        observer.compiled(started.elapsed());
        let alone = compiler.block_spawns().await;
        cache.store(&name, &compiled)?;
        drop(alone);
        drop(missing);
        self.cached(kind, digest)?.ok_or_else(|| {
            LoadError::Link("the module just compiled is gone from the cache".into())
        })
    }

    /// Reads the whole file of a compiled module; `None` if the cache lacks it.
    pub(crate) fn read(&self, name: &ModuleName) -> Result<Option<Vec<u8>>, LoadError> {
        match &self.source {
            Source::Cache { cache, .. } => cache.read(name),
            Source::Prepared(_) => Ok(None),
        }
    }

    fn name(&self, kind: Kind, digest: &str) -> Result<ModuleName, LoadError> {
        let engine = &self.runtime(kind)?.engine;
        Ok(ModuleName::new(digest, engine, Flavour::of(kind)))
    }

    /// Removes the compiled modules of all files but those with these digests.
    pub(crate) fn retain(&self, digests: &[&str]) -> Result<(), LoadError> {
        let Source::Cache { cache, .. } = &self.source else {
            return Ok(());
        };
        let names = self.runtimes.iter().flat_map(|runtime| {
            let name = |digest: &&str| ModuleName::new(digest, &runtime.engine, runtime.flavour);
            digests.iter().map(name)
        });
        cache.retain(names)
    }

    fn cached(&self, kind: Kind, digest: &str) -> Result<Option<Module>, LoadError> {
        let runtime = self.runtime(kind)?;
        let component = kind.is_component();
        let code = match &self.source {
            Source::Prepared(verified) => Some(verified.load(&runtime.engine, component)?),
            Source::Cache { cache, .. } => {
                let name = self.name(kind, digest)?;
                cache.load(&name, &runtime.engine, component)?
            }
        };
        code.map(|code| Module::link(kind, &code, runtime))
            .transpose()
    }

    /// Takes an unloaded module from the cache again. If the cache has lost it, compiles it again,
    /// provided that the file still has this digest.
    pub(super) async fn reload(
        &self,
        function: &FunctionContext,
        file_digest: &str,
        wasm: &Wasm,
    ) -> Result<Module, LoadError> {
        if let Some(module) = self.cached(function.kind, file_digest)? {
            function.observer.cache(true);
            return Ok(module);
        }
        let bytes = wasm.read(function.spec.limits.artifact.bytes()).await?;
        if digest(&bytes) != file_digest {
            return Err(LoadError::Link(
                "its file has changed since it was loaded".into(),
            ));
        }
        self.module(
            function.kind,
            file_digest,
            &function.spec,
            &bytes,
            &*function.observer,
        )
        .await
    }
}
