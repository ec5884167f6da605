//! Clients that close their sending side and wait for the response (HTTP/1).
//!
//! TCP reports this exactly like a client that has gone away, and the request of such a client ends. What is written
//! distinguishes them: a client that has gone answers with a reset, and the next write fails. The
//! end of the input is therefore held back while bytes leave, and for a moment after it came, in
//! which most responses begin.

use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::alarm::Alarm;
use super::watch::Watch;

/// The longest time without a written byte after the end of the input. The request of a client that
/// has gone lasts this long.
const HALF_CLOSED_TIMEOUT: Duration = Duration::from_millis(500);

/// A client that has closed its sending side while its request is in progress.
#[derive(Debug)]
pub(super) struct HalfClosed {
    alarm: Alarm,
    /// Bytes written when the alarm was set.
    written: u64,
}

impl HalfClosed {
    pub(super) fn new(watch: &Watch) -> Self {
        Self {
            alarm: Alarm::new(Instant::now() + HALF_CLOSED_TIMEOUT),
            written: watch.written(),
        }
    }

    /// Ready when the client counts as gone.
    pub(super) fn poll(&mut self, watch: &Watch, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.alarm.poll(context));
            // A write that waits for the client has a time limit of its own.
            if watch.written() == self.written && !watch.is_blocked() {
                return Poll::Ready(());
            }
            self.written = watch.written();
            self.alarm.set(Instant::now() + HALF_CLOSED_TIMEOUT);
        }
    }
}
