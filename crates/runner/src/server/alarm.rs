//! A timer that is cheap to poll often while it is pending.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::task::unconstrained;
use tokio::time::{Sleep, sleep_until};

/// Belongs to one task, which must always poll it with the same waker.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: Pin<Box<Sleep>>,
    /// Whether the runtime has registered the task and the deadline.
    registered: bool,
}

impl Alarm {
    pub(super) fn new(moment: Instant) -> Self {
        Self {
            timer: Box::pin(sleep_until(moment.into())),
            registered: false,
        }
    }

    pub(super) fn set(&mut self, moment: Instant) {
        self.timer.as_mut().reset(moment.into());
        self.registered = false;
    }

    /// Moves the deadline forward to `moment`. Does nothing if it is already earlier.
    pub(super) fn advance_to(&mut self, moment: Instant) {
        if moment < self.timer.deadline().into_std() {
            self.set(moment);
        }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.registered && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        // Without a task budget, "pending" can only mean that the timer is registered.
        let polled = Pin::new(&mut unconstrained(&mut self.timer)).poll(context);
        self.registered = polled.is_pending();
        polled
    }
}
