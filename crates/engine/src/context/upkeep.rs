//! Work of the ticker for one engine: advances epochs, and sweeps idle instances and modules.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::ticker::Work;

/// A function with idle instances, or with a module in memory.
pub(crate) trait Sweep: Send + Sync {
    /// Drops what has been idle for long. Returns whether a later sweep may drop more.
    fn sweep(&self) -> bool;
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
}

pub(super) struct Upkeep {
    pub(super) engines: Vec<wasmtime::Engine>,
    pub(super) functions: SweepList,
    pub(super) release_memory: fn(),
}

impl Work for Upkeep {
    fn tick(&self) {
        for engine in &self.engines {
            engine.increment_epoch();
        }
    }

    fn sweep(&self) -> bool {
        let list = &self.functions.0;
        let functions = std::mem::take(&mut *list.lock().unwrap_or_else(PoisonError::into_inner));
        let all = functions.len();
        let left: Vec<_> = functions
            .into_iter()
            .filter(|function| function.upgrade().is_some_and(|function| function.sweep()))
            .collect();
        if left.len() < all {
            (self.release_memory)();
        }
        let mut functions = list.lock().unwrap_or_else(PoisonError::into_inner);
        functions.extend(left);
        !functions.is_empty()
    }
}
