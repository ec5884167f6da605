//! Ends connections whose client is too slow, idle for too long, or flooding.
//!
//! One timer a connection, not one a request: it is moved only when something is slow already, and
//! otherwise runs out now and then to look around. The clock is read only in those two cases.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::alarm::Alarm;
use super::config::{MINIMUM_PROGRESS, ServerConfig};
use super::watch::Watch;

/// How often an idle connection is looked at before it is closed.
const LOOKS: u32 = 4;

/// How long a client may take to close its end after the server has closed, or to take note of
/// GOAWAY.
const LINGER: Duration = Duration::from_secs(2);

/// How long a new connection may take to bring its first head while the server stops.
const HURRY: Duration = Duration::from_secs(1);

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A head did not arrive in time.
    SlowHead,
    /// The client did not read its answer.
    SlowRead,
    /// There was no request for long: close politely.
    Idle,
    /// The client did not close, or did not stop flooding.
    Overstayed,
}

pub(super) struct Watchdog {
    watch: Arc<Watch>,
    header_timeout: Duration,
    write_timeout: Duration,
    idle_timeout: Duration,
    alarm: Alarm,
    /// Since when the head is waited for, and the number of heads before it.
    head: Option<(Instant, u64)>,
    /// Since when the client takes no bytes, and how many it had taken by then.
    write: Option<(Instant, u64)>,
    /// Since when no request was seen, and the number of requests before.
    idle: (Instant, u64),
    /// When the connection has to end whatever happens.
    end: Option<Instant>,
    closing: bool,
}

impl Watchdog {
    /// For a connection that begins now.
    pub(super) fn new(watch: Arc<Watch>, config: &ServerConfig) -> Self {
        let now = Instant::now();
        Self {
            watch,
            header_timeout: config.header_timeout,
            write_timeout: config.write_timeout,
            idle_timeout: config.idle_timeout,
            alarm: Alarm::new(now + config.header_timeout.min(config.idle_timeout / LOOKS)),
            head: Some((now, 0)),
            write: None,
            idle: (now, 0),
            end: None,
            closing: false,
        }
    }

    /// The connection was told to close: once nothing is in progress, it may only linger.
    pub(super) fn close(&mut self) {
        self.closing = true;
    }

    /// The server stops: what has not begun yet has little time left to do so.
    pub(super) fn hurry(&mut self) {
        self.header_timeout = self.header_timeout.min(HURRY);
    }

    /// The connection has to end soon, whatever is in progress.
    pub(super) fn end_soon(&mut self) {
        self.end.get_or_insert_with(|| Instant::now() + LINGER);
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Verdict> {
        let watch = Arc::clone(&self.watch);
        if watch.is_partial() && !watch.is_lingering() {
            self.await_head(&watch);
        } else {
            self.head = None;
        }
        if watch.is_blocked() {
            self.await_reader(&watch);
        } else {
            self.write = None;
        }
        if watch.is_lingering() || (self.closing && watch.is_idle()) {
            self.end_soon();
        }
        if let Some(end) = self.end {
            self.alarm.advance_to(end);
        }
        ready!(self.alarm.poll(context));
        let verdict = self.look_around(&watch);
        if verdict.is_none() {
            // Normally pending, and otherwise the task looks again.
            if self.alarm.poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
        }
        verdict.map_or(Poll::Pending, Poll::Ready)
    }

    fn await_head(&mut self, watch: &Watch) {
        let heads = watch.heads();
        let (since, _) = match self.head {
            Some(head) if head.1 == heads => head,
            _ => *self.head.insert((Instant::now(), heads)),
        };
        self.alarm.advance_to(since + self.header_timeout);
    }

    fn await_reader(&mut self, watch: &Watch) {
        let written = watch.written();
        let (since, _) = match self.write {
            Some(write) if written - write.1 < MINIMUM_PROGRESS => write,
            _ => *self.write.insert((Instant::now(), written)),
        };
        self.alarm.advance_to(since + self.write_timeout);
    }

    /// The alarm went off: something may be over, or nothing is, and then it is set again.
    fn look_around(&mut self, watch: &Watch) -> Option<Verdict> {
        let now = Instant::now();
        let head_end = self.head.map(|(since, _)| since + self.header_timeout);
        let write_end = self.write.map(|(since, _)| since + self.write_timeout);
        if watch.is_busy() || watch.calls() != self.idle.1 {
            self.idle = (now, watch.calls());
        }
        let idle_end = (!self.closing).then_some(self.idle.0 + self.idle_timeout);
        let ends = [
            (self.end, Verdict::Overstayed),
            (head_end, Verdict::SlowHead),
            (write_end, Verdict::SlowRead),
            (idle_end, Verdict::Idle),
        ];
        let over = ends
            .iter()
            .find(|(end, _)| end.is_some_and(|end| now >= end));
        if let Some((_, verdict)) = over {
            return Some(*verdict);
        }
        let next_look = now + self.idle_timeout / LOOKS;
        let next_end = ends.iter().filter_map(|(end, _)| *end).min();
        self.alarm
            .set(next_end.map_or(next_look, |end| end.min(next_look)));
        None
    }
}
