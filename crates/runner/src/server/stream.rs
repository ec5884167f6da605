//! HTTP/2 streams: each runs as a task, and is cut when its client stops reading it.
//!
//! A socket that takes bytes says nothing of one stream, because the client holds back each by its
//! window; hyper then does not ask the answer's body for more, so the body cannot notice either.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::Executor;

use super::alarm::Alarm;

tokio::task_local! {
    static PROGRESS: Progress;
}

/// How an answer's body stands, in the task of its stream.
#[derive(Default)]
struct Progress {
    /// Frames that the body has given.
    frames: Cell<u64>,
    /// The last thing that the body did was to give a frame: the next move is the client's.
    given: Cell<bool>,
}

/// An answer's body is asked for more.
pub(super) fn note_poll() {
    // On HTTP/1 there is no such task, and the socket tells enough.
    let _ = PROGRESS.try_with(|progress| progress.given.set(false));
}

/// An answer's body has given a frame.
pub(super) fn note_frame() {
    let _ = PROGRESS.try_with(|progress| {
        progress.frames.set(progress.frames.get() + 1);
        progress.given.set(true);
    });
}

/// Runs streams as tasks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    pub(super) write_timeout: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(PROGRESS.scope(Progress::default(), run(stream, self.write_timeout)));
    }
}

/// Runs a stream to its end, or until its client has not taken a frame for too long.
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
