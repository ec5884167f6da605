//! Guests that go on after their answers: their tasks, and their end with the process.
//!
//! A guest may work on after its answer, within its limits. It then runs in a task of its own. A
//! process that stops waits for these tasks, and ends those that take longer than it may wait.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wasmtime_wasi_http::WasiBody;

use crate::guest::Guest;

/// The most frames that a poll discards before other tasks run.
const MOST_DISCARDED: usize = 16;

/// The most bytes that are read for no one. A guest that writes on then finds its body closed, as if
/// the client had disconnected.
const MOST_BYTES: usize = 1024 * 1024;

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

    /// Runs `rest` to its end in a task, and drops `held` afterwards.
    pub(crate) fn spawn(&self, rest: Rest, held: impl Send + 'static) {
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

/// The rest of a call after its answer.
pub(crate) struct Rest {
    guest: Guest,
    /// What the guest still writes; `None` once that has ended. No client gets it: it follows the
    /// end of the answer, or the answer has no content. Yet the guest must be able to write it.
    body: Option<WasiBody>,
    /// How many bytes more are read.
    left: usize,
}

impl Rest {
    pub(crate) fn new(mut guest: Guest, body: Option<WasiBody>) -> Self {
        guest.outlive_answer();
        Self {
            guest,
            body,
            left: MOST_BYTES,
        }
    }

    /// Reads what the guest has written. Returns whether there may be more at once.
    fn discard(&mut self, context: &mut Context<'_>) -> bool {
        for _ in 0..MOST_DISCARDED {
            let Some(body) = &mut self.body else {
                return false;
            };
            match http_body::Body::poll_frame(Pin::new(body), context) {
                Poll::Ready(Some(Ok(frame))) => {
                    let read = frame.data_ref().map_or(0, Bytes::len);
                    match self.left.checked_sub(read) {
                        Some(left) => self.left = left,
                        None => self.body = None,
                    }
                }
                // The client has all that it was to get, so an error here concerns no one.
                Poll::Ready(Some(Err(_)) | None) => self.body = None,
                Poll::Pending => return false,
            }
        }
        true
    }
}

impl Future for Rest {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let more = self.discard(context);
        match self.guest.poll(context) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(error)) => {
                self.guest.call.failed(error);
                Poll::Ready(())
            }
            Poll::Pending => {
                if more {
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }
}
