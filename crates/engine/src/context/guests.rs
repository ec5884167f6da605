//! Guests that go on after their answers: their tasks, and their end with the process.
//!
//! A guest may work on after its answer, within its limits. It then runs in a task of its own. A
//! process that stops waits for these tasks, and ends those that take longer than it may wait.

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The guests of an engine that go on after their answers. Clones share them.
///
/// Their number needs no limit here: the caller of the engine gives each one what it holds of the
/// caller's own limit. See [`crate::GuestBody::finish_in_background`].
#[derive(Clone, Debug, Default)]
pub struct Guests {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Guests {
    /// Waits until no guest goes on after its answer. Call it when no more calls begin.
    pub async fn all_ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Ends all of them, because the process stops. Returns their number.
    ///
    /// From now on, a guest that is dropped before its end was stopped and is reported so, also if
    /// its answer was not complete. Before, such a drop means that the client has disconnected.
    pub fn stop(&self) -> usize {
        let running = self.tasks.len();
        self.stop.cancel();
        running
    }

    pub(crate) fn are_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Runs the rest of a call to its end in a task, and drops `held` afterwards.
    pub(crate) fn spawn(
        &self,
        rest: impl Future<Output = ()> + Send + 'static,
        held: impl Send + 'static,
    ) {
        // Without a runtime the process is at its end. The dropped guest reports itself.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let stop = self.stop.clone();
        let task = async move {
            // When it is stopped, the dropped guest reports itself.
            stop.run_until_cancelled(rest).await;
            drop(held);
        };
        self.tasks.spawn_on(task, &runtime);
    }
}
