//! Work of the ticker for one engine: advances epochs, and sweeps idle instances and modules.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::fair_share::FairShare;
use super::ticker::Work;

/// A function with idle instances, or with a module in memory.
pub(crate) trait Sweep: Send + Sync {
    /// Drops what has been idle for long. Returns whether a later sweep may drop more.
    fn sweep(&self) -> bool;

    /// Drops all idle instances; with an engine, only those in its pool.
    fn drop_idle_instances(&self, engine: Option<&wasmtime::Engine>);
}

/// Functions to sweep. Clones share one list.
#[derive(Clone, Default)]
pub(super) struct SweepList(Arc<Mutex<Vec<Weak<dyn Sweep>>>>);

impl SweepList {
    pub(super) fn push(&self, function: Weak<dyn Sweep>) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(function);
    }

    /// The functions now. Only [`Upkeep`] removes any.
    pub(super) fn functions(&self) -> Vec<Weak<dyn Sweep>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

pub(super) struct Upkeep {
    pub(super) engines: Vec<wasmtime::Engine>,
    pub(super) functions: SweepList,
    pub(super) fair: Option<Arc<FairShare>>,
    pub(super) release_memory: fn(),
}

impl Work for Upkeep {
    fn tick(&self) {
        for engine in &self.engines {
            engine.increment_epoch();
        }
        if let Some(fair) = &self.fair {
            fair.tick();
        }
    }

    fn sweep(&self) -> bool {
        let functions = self.functions.functions();
        let stay: Vec<bool> = functions
            .into_iter()
            .map(|function| function.upgrade().is_some_and(|function| function.sweep()))
            .collect();
        if stay.contains(&false) {
            (self.release_memory)();
        }
        let list = &self.functions.0;
        let mut functions = list.lock().unwrap_or_else(PoisonError::into_inner);
        // New ones have come at the end.
        let mut stay = stay.into_iter();
        functions.retain(|_| stay.next().unwrap_or(true));
        !functions.is_empty()
    }
}
