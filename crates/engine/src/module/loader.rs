//! Loads modules for one engine: from the cache, which the compiler fills, or from a prepared module.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sampan_spec::Function;

use super::linked::Module;
use super::runtime::Runtime;
use crate::compile::cache::{Cache, Key, Verified, digest};
use crate::compile::compiler::{Compiler, Job};
use crate::compile::config::{EngineConfig, Flavour};
use crate::compile::wasm::Wasm;
use crate::context::engine_context::EngineContext;
use crate::context::function_context::FunctionContext;
use crate::error::{EngineError, LoadError};
use crate::kind::Kind;
use crate::observer::Observer;

pub(crate) struct Loader {
    runtimes: Vec<Runtime>,
    source: Source,
    pub(crate) engine: Arc<EngineContext>,
    pub(super) module_idle: Option<Duration>,
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

    /// Takes a module from the cache. If it is missing, compiles it into the cache first.
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
        let Source::Cache { cache, compiler } = &self.source else {
            return Err(LoadError::Engine("this engine compiles nothing".into()));
        };
        observer.cache(false);
        let started = Instant::now();
        let compiled = compiler
            .compile(Job {
                wasm: bytes.clone(),
                flavour: Flavour::of(kind),
                component: kind.is_component(),
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

    /// Removes the compiled modules of all files but those with these digests.
    pub(crate) fn retain(&self, digests: &[&str]) -> Result<(), LoadError> {
        let Source::Cache { cache, .. } = &self.source else {
            return Ok(());
        };
        let keys = self.runtimes.iter().flat_map(|runtime| {
            let key = |digest: &&str| Key::new(digest, &runtime.engine, runtime.flavour);
            digests.iter().map(key)
        });
        cache.retain(keys)
    }

    fn cached(&self, kind: Kind, digest: &str) -> Result<Option<Module>, LoadError> {
        let runtime = self.runtime(kind)?;
        let component = kind.is_component();
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
