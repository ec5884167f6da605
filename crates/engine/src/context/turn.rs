//! Turn of a guest: its slot for one poll, and its wait for that slot or for the cap of its function.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};

use super::fair_queue::Ticket;
use super::fair_share::{FunctionShare, LONG_POLL};
use crate::observer::Wait;

/// The turns of one guest, one after the other.
pub(crate) struct Turn {
    share: Arc<FunctionShare>,
    state: State,
    /// Whether the guest was interrupted in a long poll before.
    is_long: bool,
    /// Runs while the function is at its cap.
    cap: Option<Pin<Box<Sleep>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It needs no slot, or has none.
    Free,
    Waiting(Ticket),
    Running,
}

impl Turn {
    pub(super) fn new(share: Arc<FunctionShare>) -> Self {
        Self {
            share,
            state: State::Free,
            is_long: false,
            cap: None,
        }
    }

    /// Ready when the guest may be polled once; [`Turn::end`] follows. Otherwise wakes the task then. `waits` is called
    /// when a wait begins.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, waits: impl Fn(Wait)) -> Poll<()> {
        ready!(self.poll_cap(context, &waits));
        let ticket = match self.state {
            State::Free if !self.share.is_on() => return Poll::Ready(()),
            State::Running => return Poll::Ready(()),
            State::Free => None,
            State::Waiting(ticket) => Some(ticket),
        };
        let Some(waiting) = self.share.take(ticket, self.is_long, context.waker()) else {
            self.state = State::Running;
            return Poll::Ready(());
        };
        if ticket.is_none() {
            waits(Wait::Share);
        }
        self.state = State::Waiting(waiting);
        Poll::Pending
    }

    /// Ends the turn after a poll that used so much processor time. A guest that was interrupted goes on
    /// as soon as it may.
    pub(crate) fn end(&mut self, spent: Duration, was_interrupted: bool) {
        if self.state != State::Running {
            return;
        }
        self.state = State::Free;
        // The tick also interrupts a guest that waited for something else since the last one.
        self.is_long |= was_interrupted && spent >= LONG_POLL;
        if !was_interrupted {
            self.share.give_back(spent);
        } else if let Some(ticket) = self.share.renew(spent) {
            self.state = State::Waiting(ticket);
        }
    }

    fn poll_cap(&mut self, context: &mut Context<'_>, waits: &impl Fn(Wait)) -> Poll<()> {
        loop {
            if let Some(timer) = &mut self.cap {
                ready!(timer.as_mut().poll(context));
                self.cap = None;
            }
            let Some(wait) = self.share.cap_wait(Instant::now) else {
                return Poll::Ready(());
            };
            // Others may run meanwhile.
            self.leave();
            waits(Wait::Cap);
            self.cap = Some(Box::pin(sleep(wait)));
        }
    }

    /// Leaves the queue, or gives back the slot of a poll that was not ended.
    fn leave(&mut self) {
        match std::mem::replace(&mut self.state, State::Free) {
            State::Free => {}
            State::Waiting(ticket) => self.share.leave(ticket),
            State::Running => self.share.give_back(Duration::ZERO),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.leave();
    }
}
