//! Runs a future where there is no scheduler: in a component, whose outbound HTTP blocks the whole instance, and in unit
//! tests. It never sleeps, so it is of no use to a future that waits for another thread.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Polls `future` until it is ready: at once, for all the futures of this crate.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}
