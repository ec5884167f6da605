//! The modules that this pod is getting, and the wait for one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sampan_engine::ModuleName;
use tokio::sync::watch;

/// How this pod gets a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It asks other pods, and may wait for them.
    Asking,
    /// It compiles, and waits for no other pod.
    Compiling,
}

/// The result of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// This pod has the module, or does not get it now.
    Over,
    /// The other pod has to go on without this one, which may wait for it.
    Refused,
}

/// The modules that this pod is getting. Clones share them.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<HashMap<ModuleName, watch::Sender<Stage>>>>);

/// A module that this pod is getting, until it is dropped.
pub(super) struct PendingModule {
    all: InFlight,
    name: ModuleName,
}

impl InFlight {
    /// Adds a module. The engine gets none twice at once.
    pub(super) fn add(&self, name: ModuleName) -> PendingModule {
        let (sender, _) = watch::channel(Stage::Asking);
        self.lock().insert(name.clone(), sender);
        let all = self.clone();
        PendingModule { all, name }
    }

    /// Waits for a module on behalf of another pod. `outranks` says that this pod has the higher rank for the module, so
    /// it does not wait for the other one.
    pub(super) async fn wait(&self, name: &ModuleName, outranks: bool) -> Wait {
        let Some(mut stage) = self.lock().get(name).map(watch::Sender::subscribe) else {
            return Wait::Over;
        };
        loop {
            if !outranks && *stage.borrow_and_update() == Stage::Asking {
                return Wait::Refused;
            }
            // The sender is gone at the end.
            if stage.changed().await.is_err() {
                return Wait::Over;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ModuleName, watch::Sender<Stage>>> {
        // No code panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingModule {
    /// Records that this pod compiles it now.
    pub(super) fn set_compiling(&self) {
        if let Some(stage) = self.all.lock().get(&self.name) {
            stage.send_replace(Stage::Compiling);
        }
    }

    pub(super) fn name(&self) -> &ModuleName {
        &self.name
    }
}

impl Drop for PendingModule {
    fn drop(&mut self) {
        self.all.lock().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn a_pod_waits_for_one_that_compiles_or_has_the_higher_rank() {
        let all = InFlight::default();
        let name: ModuleName = "a".repeat(64).parse().expect("it is a name");
        let check = async |outranks, expected| {
            let mut wait = Box::pin(all.wait(&name, outranks));
            let found = match poll!(&mut wait) {
                std::task::Poll::Ready(wait) => Some(wait),
                std::task::Poll::Pending => None,
            };
            assert_eq!(found, expected, "{outranks}");
        };
        check(false, Some(Wait::Over)).await;
        let pending = all.add(name.clone());
        check(false, Some(Wait::Refused)).await;
        check(true, None).await;
        let mut begun_before = Box::pin(all.wait(&name, true));
        assert!(poll!(&mut begun_before).is_pending());
        pending.set_compiling();
        check(false, None).await;
        check(true, None).await;
        let mut lower = Box::pin(all.wait(&name, false));
        assert!(poll!(&mut lower).is_pending() && poll!(&mut begun_before).is_pending());
        drop(pending);
        assert_eq!((lower.await, begun_before.await), (Wait::Over, Wait::Over));
        check(false, Some(Wait::Over)).await;
    }
}
