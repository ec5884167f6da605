//! Runs a future without a scheduler: in a component, where outbound HTTP blocks the whole
//! instance, and in unit tests.
//!
//! It polls in a loop and never sleeps, so it does not suit a future that waits for another thread.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Polls `future` until it is ready. The futures of this crate are ready at the first poll.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}
