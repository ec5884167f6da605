//! Makes room in a pool of instances that is full.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use wasmtime::Engine;

use crate::context::call_state::Call;

/// How often room is made for one instance.
const MAX_TRIES: u8 = 16;

/// What used instances may take to be dropped.
const DELAY: Duration = Duration::from_millis(1);

/// The tries for one instance.
#[derive(Default)]
pub(crate) struct Room {
    tries: u8,
}

impl Room {
    /// Makes room after an engine's pool was full; without an engine, after the memory of the process was used up. Drops
    /// the instances of all functions that wait for a request, and waits for those that have served one. Returns whether
    /// the instantiation is to be tried again, with a new store: one keeps what a failed instantiation has made.
    pub(crate) async fn make(&mut self, engine: Option<&Engine>, call: &Call) -> bool {
        if self.tries == MAX_TRIES {
            return false;
        }
        self.tries += 1;
        let (function, engine) = (Arc::clone(&call.function), engine.cloned());
        // It may be many instances, each with memory to reset.
        let dropping = spawn_blocking(move || function.drop_idle_instances(engine.as_ref()));
        if let Err(error) = dropping.await {
            tracing::warn!(%error, "idle instances were not dropped");
        }
        sleep(DELAY).await;
        true
    }

    /// Makes room as long as the engine's pool is full, for an instantiation that cannot be tried again.
    pub(crate) async fn wait(engine: &Engine, call: &Call) {
        let mut room = Self::default();
        while call.function.is_full(engine) && room.make(Some(engine), call).await {}
    }

    /// Makes room as long as the process lacks memory that this function may have.
    pub(crate) async fn wait_for_memory(call: &Call) {
        let mut room = Self::default();
        while call.function.memory.needs_room() && room.make(None, call).await {}
    }
}
