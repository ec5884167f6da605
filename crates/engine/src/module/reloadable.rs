//! Module of a loaded function, which leaves memory when it is idle and is loaded again for the next
//! call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use super::linked::{Entry, Module};
use super::loader::Loader;
use crate::compile::wasm::Wasm;
use crate::context::function_context::FunctionContext;
use crate::context::upkeep::Sweep;
use crate::error::CallError;
use crate::instance::idle::idle_timeout;

/// How long an idle module stays in memory. The next call takes it from the cache on disk.
const MODULE_IDLE: Duration = Duration::from_mins(1);

pub(crate) struct ReloadableModule {
    pub(crate) function: Arc<FunctionContext>,
    pub(crate) digest: String,
    wasm: Wasm,
    pub(crate) loader: Arc<Loader>,
    resident: RwLock<Option<ResidentModule>>,
}

/// A module in memory, with a mark of recent calls.
struct ResidentModule {
    module: Arc<Module>,
    since: Instant,
    /// Whether it was called since the last sweep.
    called: AtomicBool,
}

impl ResidentModule {
    fn new(module: Arc<Module>) -> Self {
        Self {
            module,
            since: Instant::now(),
            called: false.into(),
        }
    }
}

impl ReloadableModule {
    pub(crate) fn new(
        function: Arc<FunctionContext>,
        digest: String,
        wasm: Wasm,
        loader: Arc<Loader>,
        module: Module,
    ) -> Arc<Self> {
        let resident = RwLock::new(Some(ResidentModule::new(Arc::new(module))));
        Arc::new(Self {
            function,
            digest,
            wasm,
            loader,
            resident,
        })
    }

    /// Lets the engine sweep it until it has no idle instances and is not in memory. A module that
    /// is not watched stays in memory.
    pub(crate) fn watch(self: &Arc<Self>) {
        let module: Weak<Self> = Arc::downgrade(self);
        self.function.watch(module.clone());
        self.loader.engine.watch(module);
    }

    /// Returns the module from memory or, if it was unloaded, from the cache.
    pub(crate) async fn get(self: &Arc<Self>) -> Result<Arc<Module>, CallError> {
        if let Some(resident) = &*self.resident.read().unwrap_or_else(PoisonError::into_inner) {
            resident.called.store(true, Ordering::Relaxed);
            return Ok(Arc::clone(&resident.module));
        }
        let reloaded = self.loader.reload(&self.function, &self.digest, &self.wasm);
        let module = Arc::new(reloaded.await.map_err(CallError::Reload)?);
        // Two calls may have loaded it at once; the first one is kept.
        let mut slot = self
            .resident
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let resident = slot.get_or_insert_with(|| ResidentModule::new(module));
        let module = Arc::clone(&resident.module);
        drop(slot);
        self.watch();
        Ok(module)
    }
}

impl Sweep for ReloadableModule {
    /// Unloads the module, and drops its instances, when they have been idle for long.
    fn sweep(&self) -> bool {
        let mut slot = self
            .resident
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(resident) = &mut *slot else {
            return false;
        };
        let idle = idle_timeout(&self.function.spec.instances);
        match &resident.module.entry {
            Entry::Handler(handler) => handler.idle().sweep(idle),
            Entry::Command02(_) | Entry::Preview1(_) => false,
        };
        if resident.called.swap(false, Ordering::Relaxed) {
            resident.since = Instant::now();
        }
        if resident.since.elapsed() < self.loader.module_idle.unwrap_or(MODULE_IDLE) {
            return true;
        }
        // A running call has its own reference; the last one unmaps the module.
        let module = slot.take();
        drop(slot);
        drop(module);
        false
    }

    fn drop_idle_instances(&self, engine: Option<&wasmtime::Engine>) {
        let slot = self.resident.read().unwrap_or_else(PoisonError::into_inner);
        let module = slot.as_ref().map(|resident| Arc::clone(&resident.module));
        drop(slot);
        if let Some(module) = module
            && engine.is_none_or(|engine| wasmtime::Engine::same(module.engine(), engine))
            && let Entry::Handler(handler) = &module.entry
        {
            handler.idle().clear();
        }
    }
}
