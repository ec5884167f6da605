//! The modules that this pod is about to have, and the wait for one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sampan_engine::ModuleName;
use tokio::sync::watch;

/// How this pod gets a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It asks other pods, and may wait for them.
    Asking,
    /// It compiles, and waits for no other pod.
    Compiling,
}

/// The modules that this pod is about to have. Clones share them.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<HashMap<ModuleName, watch::Sender<Stage>>>>);

/// One of them, until it is dropped.
pub(super) struct Coming {
    all: InFlight,
    name: ModuleName,
}

impl InFlight {
    /// Announces a module. The engine announces none twice at once.
    pub(super) fn announce(&self, name: ModuleName) -> Coming {
        let (sender, _) = watch::channel(Stage::Asking);
        self.lock().insert(name.clone(), sender);
        let all = self.clone();
        Coming { all, name }
    }

    /// Waits until this pod has a module or cannot get it, as long as `may_wait` holds for how it gets it. Returns
    /// whether the wait is over.
    pub(super) async fn ended(&self, name: &ModuleName, may_wait: impl Fn(Stage) -> bool) -> bool {
        let Some(mut stage) = self.lock().get(name).map(watch::Sender::subscribe) else {
            return true;
        };
        loop {
            if !may_wait(*stage.borrow_and_update()) {
                return false;
            }
            // The sender is gone at the end.
            if stage.changed().await.is_err() {
                return true;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ModuleName, watch::Sender<Stage>>> {
        // No code panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Coming {
    /// Says that no other pod has it.
    pub(super) fn compile(&self) {
        if let Some(stage) = self.all.lock().get(&self.name) {
            stage.send_replace(Stage::Compiling);
        }
    }

    pub(super) fn name(&self) -> &ModuleName {
        &self.name
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.all.lock().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn a_wait_lasts_until_the_module_is_here() {
        let all = InFlight::default();
        let name: ModuleName = "a".repeat(64).parse().expect("it is a name");
        assert!(all.ended(&name, |_| false).await);
        let coming = all.announce(name.clone());
        assert!(!all.ended(&name, |_| false).await);
        let mut patient = Box::pin(all.ended(&name, |_| true));
        let mut strict = Box::pin(all.ended(&name, |stage| stage == Stage::Asking));
        assert!(poll!(&mut patient).is_pending() && poll!(&mut strict).is_pending());
        coming.compile();
        assert!(poll!(&mut patient).is_pending());
        assert!(!strict.await);
        drop(coming);
        assert!(patient.await);
        assert!(all.ended(&name, |_| false).await);
    }
}
