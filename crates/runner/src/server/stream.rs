//! HTTP/2 streams: runs each as a task, and cuts it when its client stops reading.
//!
//! Flow control limits each stream by its own window. A socket that accepts bytes therefore says
//! nothing about one stream. hyper does not poll the response's body while its window is full, so
//! the body cannot detect this either.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::Executor;

use super::alarm::Alarm;
use super::connections::ConnectionSlot;

tokio::task_local! {
    static PROGRESS: Progress;
}

/// Progress of a response's body, stored in the task of its stream.
#[derive(Default)]
struct Progress {
    /// Frames that the body has produced.
    frames: Cell<u64>,
    /// Whether the body has produced a frame that hyper has not followed by a poll: the client must
    /// read next.
    given: Cell<bool>,
}

/// Records a poll of a response's body.
pub(super) fn note_poll() {
    // HTTP/1 has no such task; there the socket shows progress.
    let _ = PROGRESS.try_with(|progress| progress.given.set(false));
}

/// Records a frame of a response's body.
pub(super) fn note_frame() {
    let _ = PROGRESS.try_with(|progress| {
        progress.frames.set(progress.frames.get() + 1);
        progress.given.set(true);
    });
}

/// Spawns streams as tasks.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    pub(super) write_timeout: Duration,
    /// A connection counts as open until its streams have ended.
    pub(super) slot: Arc<ConnectionSlot>,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let (slot, write_timeout) = (Arc::clone(&self.slot), self.write_timeout);
        let task = async move {
            run(stream, write_timeout).await;
            drop(slot);
        };
        tokio::spawn(PROGRESS.scope(Progress::default(), task));
    }
}

/// Runs a stream to its end, or until its client takes no frame within the timeout.
async fn run(stream: impl Future<Output = ()>, write_timeout: Duration) {
    let mut stream = pin!(stream);
    let mut alarm: Option<Alarm> = None;
    let mut waiting_with = None;
    poll_fn(|context| {
        if stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let (frames, given) =
            PROGRESS.with(|progress| (progress.frames.get(), progress.given.get()));
        if !given {
            waiting_with = None;
            return Poll::Pending;
        }
        let end = || Instant::now() + write_timeout;
        let alarm = alarm.get_or_insert_with(|| Alarm::new(end()));
        if waiting_with != Some(frames) {
            waiting_with = Some(frames);
            alarm.set(end());
        }
        ready!(alarm.poll(context));
        tracing::debug!("cut a stream whose client does not read");
        Poll::Ready(())
    })
    .await;
}
