//! Functions of prepared modules: each has an engine of its own, without cache and compiler.

use std::sync::Arc;

use bytes::Bytes;
use sampan_spec::Function;

use crate::call::function::LoadedFunction;
use crate::compile::config::EngineConfig;
use crate::compile::wasm::Wasm;
use crate::context::function_context::FunctionContext;
use crate::error::{EngineError, LoadError};
use crate::module::loader::{Loader, Source};
use crate::module::precompiler::Prepared;
use crate::module::reloadable::ReloadableModule;
use crate::module::runtime::Runtime;
use crate::observer::Observer;

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
        let failed = |error: EngineError| LoadError::Engine(error.to_string());
        let config = EngineConfig {
            release_memory,
            ..pool_for(&function)
        };
        let runtime = Runtime::of_kind(prepared.kind, &config).map_err(failed)?;
        let module = prepared.link(&runtime)?;
        let Prepared { kind, digest, code } = prepared;
        let loader = Loader::new([runtime], Source::Prepared(code), &config).map_err(failed)?;
        let engine = Arc::clone(&loader.engine);
        let function = FunctionContext::new(function, None, observer, kind, engine)?;
        // A reload uses the descriptor, so there are no bytes to read again.
        let wasm = Wasm::Bytes(Bytes::new());
        let module = ReloadableModule::new(function, digest, wasm, Arc::new(loader), module);
        module.watch();
        Ok(Self(module))
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
