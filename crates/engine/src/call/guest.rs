//! A running guest: its future and its time limits.
//!
//! No task is spawned for a request. [`crate::LoadedFunction::handle`] polls the future first, then
//! the response's body does, in the task of the connection. This has three effects:
//!
//! - A response that is ready at once costs no wake-up.
//! - Backpressure follows from not polling.
//! - A disconnected client cancels the guest by dropping it.
//!
//! Only a guest that goes on after its answer gets a task of its own: see [`crate::Guests`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

use crate::context::call_state::Call;
use crate::context::function_context::Measured;
use crate::context::ticker::Active;
use crate::context::turn::Turn;
use crate::error::CallError;

pub(super) type GuestFuture = Pin<Box<dyn Future<Output = Result<(), CallError>> + Send>>;

pub(super) struct Guest {
    /// `None` once the guest has ended; the deadline still holds for the rest of its response.
    future: Option<GuestFuture>,
    /// Made when the guest first waits: most responses are ready before a timer pays off.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether it has had a processor.
    has_begun: bool,
    /// Whether it goes on after its answer. Then no disconnected client cancels it.
    outlives_answer: bool,
    /// Its turns, where it may have to wait for a processor.
    turn: Option<Box<Turn>>,
    pub(super) call: Arc<Call>,
    _active: Active,
}

impl Guest {
    pub(super) fn new(call: Arc<Call>, future: GuestFuture) -> Self {
        let active = call.function.activate();
        Self {
            future: Some(future),
            timer: None,
            has_begun: false,
            outlives_answer: false,
            turn: None,
            call,
            _active: active,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.future.is_none()
    }

    /// Runs the guest on. `Ready(Ok)` if it has ended, now or before.
    ///
    /// The caller reports a failure, because only the caller can decide whether it still matters.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        let Some(future) = &mut self.future else {
            return Poll::Ready(Ok(()));
        };
        let function = &self.call.function;
        self.turn = self.turn.take().or_else(|| function.turn());
        let waits = |wait| function.observer.waits(wait);
        let turn = self.turn.as_mut();
        if turn.is_some_and(|turn| turn.poll(context, waits).is_pending()) {
            return self.poll_deadline(context).map(Err);
        }
        self.has_begun = true;
        let began = Instant::now();
        self.call.clock.enter(began);
        let poll = || future.as_mut().poll(context);
        let Measured {
            result,
            spent,
            ended,
        } = function.measure(began, poll);
        self.call.clock.leave(ended);
        let was_interrupted = self.call.take_interrupt();
        if let Some(turn) = &mut self.turn {
            turn.end(spent, was_interrupted);
        }
        match result {
            Poll::Ready(result) => {
                self.future = None;
                self.turn = None;
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_deadline(context).map(Err),
        }
    }

    /// Ready when the call's deadline has passed; the guest is then dropped.
    pub(super) fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<CallError> {
        let deadline = self.call.clock.deadline();
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        timer.as_mut().poll(context).map(|()| {
            // Looked for before the guest is dropped: what it waited for is the cause.
            let error = match self.call.deadline_error() {
                CallError::Deadline { limit } if !self.has_begun => CallError::Processors { limit },
                error => error,
            };
            self.future = None;
            self.turn = None;
            error
        })
    }

    /// Notes that the answer is complete and the guest goes on.
    pub(super) fn outlive_answer(&mut self) {
        self.outlives_answer = true;
    }

    /// Ends the guest because its call failed. Reports the failure and returns it.
    pub(super) fn fail(mut self, error: CallError) -> CallError {
        self.future = None;
        self.call.failed(error)
    }
}

impl Drop for Guest {
    /// Reports a guest that the end of the process cuts off. A disconnected client cuts one off as
    /// well, which is no failure.
    fn drop(&mut self) {
        let was_running = self.future.take().is_some();
        if was_running && (self.outlives_answer || self.call.function.guests().are_stopped()) {
            self.call.failed(CallError::Stopped);
        }
    }
}
