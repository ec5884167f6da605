//! Engine with a cache and a compiler: reads a function's file, checks it, and makes it callable.

use std::sync::Arc;

use sampan_spec::Function;

use crate::call::function::LoadedFunction;
use crate::compile::cache::{Cache, digest};
use crate::compile::compiler::Compiler;
use crate::compile::config::EngineConfig;
use crate::compile::flavour::Flavour;
use crate::compile::module_name::ModuleName;
use crate::compile::wasm::Wasm;
use crate::context::function_context::FunctionContext;
use crate::context::guests::Guests;
use crate::error::{EngineError, LoadError};
use crate::module::check::checked_kind;
use crate::module::loader::{Loader, Source};
use crate::module::reloadable::ReloadableModule;
use crate::module::runtime::Runtime;
use crate::observer::Observer;

/// Compiles and runs functions. Clones are cheap and share one engine.
#[derive(Clone)]
pub struct Engine(Arc<Loader>);

impl Engine {
    /// Starts an engine.
    ///
    /// # Errors
    ///
    /// [`EngineError`], when the cache folder cannot be used or memory cannot be reserved.
    pub fn new(config: &EngineConfig) -> Result<Self, EngineError> {
        let shared = config.shared_modules.as_ref();
        let source = Source::Cache {
            cache: Cache::open(&config.cache, shared.map(|shared| &shared.key))?,
            compiler: Box::new(Compiler::new(config.compiler.clone())),
            peers: shared.map(|shared| Arc::clone(&shared.peers)),
        };
        let runtimes = [
            Runtime::new(Flavour::Sequential, config)?,
            Runtime::new(Flavour::Concurrent, config)?,
        ];
        Ok(Self(Arc::new(Loader::new(runtimes, source, config)?)))
    }

    /// The guests that go on after their answers.
    pub fn guests(&self) -> &Guests {
        self.0.engine.guests()
    }

    /// Removes the compiled modules of all files but those with these `sha256:...` digests, from a
    /// folder that no other engine uses. Another one that is loaded meanwhile is compiled again, or
    /// fails with [`LoadError::Link`]. Blocks.
    ///
    /// # Errors
    ///
    /// [`LoadError::Cache`], when the cache cannot be changed.
    pub fn retain(&self, digests: &[&str]) -> Result<(), LoadError> {
        self.0.retain(digests)
    }

    /// Reads the whole file of a compiled module, for a process with the same [`SharedModules::key`]; `None` if the
    /// cache lacks it. Blocks.
    ///
    /// # Errors
    ///
    /// [`LoadError::Cache`], when the file cannot be read.
    ///
    /// [`SharedModules::key`]: crate::SharedModules::key
    pub fn compiled_file(&self, name: &ModuleName) -> Result<Option<Vec<u8>>, LoadError> {
        self.0.read(name)
    }

    /// Loads a function that has no other version. [`Engine::load_version`] has the rest.
    ///
    /// # Errors
    ///
    /// As [`Engine::load_version`].
    pub async fn load(
        &self,
        function: Arc<Function>,
        wasm: Wasm,
        observer: Arc<dyn Observer>,
    ) -> Result<LoadedFunction, LoadError> {
        self.load_with(None, function, wasm, observer).await
    }

    /// Loads a version of a function. All versions with this identity share the function's processor time, its cap and its
    /// memory, by the settings of the newest one that exists. This takes microseconds from the cache, a tenth of a second
    /// for a Rust component, and many seconds for a component that contains a language engine.
    ///
    /// # Errors
    ///
    /// [`LoadError`], which names the fault in the file, the specification or the cache.
    pub async fn load_version(
        &self,
        identity: &str,
        function: Arc<Function>,
        wasm: Wasm,
        observer: Arc<dyn Observer>,
    ) -> Result<LoadedFunction, LoadError> {
        self.load_with(Some(identity), function, wasm, observer)
            .await
    }

    async fn load_with(
        &self,
        identity: Option<&str>,
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
        let engine = Arc::clone(&self.0.engine);
        let function = FunctionContext::new(function, identity, observer, kind, engine)?;
        let module = ReloadableModule::new(function, digest, wasm, Arc::clone(&self.0), module);
        module.watch();
        Ok(LoadedFunction(module))
    }
}
