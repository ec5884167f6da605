//! Closes connections of clients that are too slow, idle for too long, or flooding.
//!
//! Each connection has one timer, not one for each request. The timer moves only when something is
//! already slow, and otherwise expires now and then for a check. Only these two cases read the
//! clock.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::alarm::Alarm;
use super::config::{MINIMUM_PROGRESS, ServerConfig};
use super::watch::Watch;

/// Checks of an idle connection before it is closed.
const IDLE_CHECKS: u32 = 4;

/// Time limit for a client to close its side after the server has closed, or to react to GOAWAY.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Time limit for the first head of a new connection while the server stops.
const SHUTDOWN_HEADER_TIMEOUT: Duration = Duration::from_secs(1);

/// Reasons to close a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// A head did not arrive in time.
    SlowHead,
    /// The client did not read its response.
    SlowRead,
    /// There was no request for long: close gracefully.
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
    /// The start of the wait for a head, and the number of heads before it.
    head: Option<(Instant, u64)>,
    /// The start of the wait for the client to read, and the bytes it had read by then.
    write: Option<(Instant, u64)>,
    /// The start of the idle period, and the number of requests before it.
    idle: (Instant, u64),
    /// The final deadline of the connection.
    end: Option<Instant>,
    closing: bool,
}

impl Watchdog {
    /// Makes a watchdog for a new connection.
    pub(super) fn new(watch: Arc<Watch>, config: &ServerConfig) -> Self {
        let now = Instant::now();
        Self {
            watch,
            header_timeout: config.header_timeout,
            write_timeout: config.write_timeout,
            idle_timeout: config.idle_timeout,
            alarm: Alarm::new(now + config.header_timeout.min(config.idle_timeout / IDLE_CHECKS)),
            head: Some((now, 0)),
            write: None,
            idle: (now, 0),
            end: None,
            closing: false,
        }
    }

    /// Notes that the connection is closing: without a request in progress it may only linger.
    pub(super) fn close(&mut self) {
        self.closing = true;
    }

    /// Shortens the time for a first head, because the server stops.
    pub(super) fn shorten_header_timeout(&mut self) {
        self.header_timeout = self.header_timeout.min(SHUTDOWN_HEADER_TIMEOUT);
    }

    /// Limits the rest of the connection, even with requests in progress.
    pub(super) fn end_soon(&mut self) {
        self.end
            .get_or_insert_with(|| Instant::now() + LINGER_TIMEOUT);
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<CloseReason> {
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
        let reason = self.check_limits(&watch);
        if reason.is_none() {
            // Normally pending; otherwise the task polls again.
            if self.alarm.poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
        }
        reason.map_or(Poll::Pending, Poll::Ready)
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

    /// Checks all limits after the timer expired, and sets the timer again if none has passed.
    fn check_limits(&mut self, watch: &Watch) -> Option<CloseReason> {
        let now = Instant::now();
        let head_end = self.head.map(|(since, _)| since + self.header_timeout);
        let write_end = self.write.map(|(since, _)| since + self.write_timeout);
        if watch.is_busy() || watch.calls() != self.idle.1 {
            self.idle = (now, watch.calls());
        }
        let idle_end = (!self.closing).then_some(self.idle.0 + self.idle_timeout);
        let ends = [
            (self.end, CloseReason::Overstayed),
            (head_end, CloseReason::SlowHead),
            (write_end, CloseReason::SlowRead),
            (idle_end, CloseReason::Idle),
        ];
        let over = ends
            .iter()
            .find(|(end, _)| end.is_some_and(|end| now >= end));
        if let Some((_, reason)) = over {
            return Some(*reason);
        }
        let next_check = now + self.idle_timeout / IDLE_CHECKS;
        let next_end = ends.iter().filter_map(|(end, _)| *end).min();
        self.alarm
            .set(next_end.map_or(next_check, |end| end.min(next_check)));
        None
    }
}
