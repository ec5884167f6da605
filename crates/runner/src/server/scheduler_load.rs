//! Measures the load of a runtime thread: requests since it last slept.
//!
//! A thread that takes many requests without sleeping has more of them waiting in its sockets. The
//! least work for all of them then matters more than the earliest response to one:
//!
//! - Responses leave together, after all other ready tasks have run. A write wakes the reader. A
//!   client on the same machine, such as a proxy or a load generator, would take the processor for
//!   one response.
//! - The engine clears an instance at once; see [`sampan_engine::CallContext::busy`].

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

use tokio::task::yield_now;

/// The most requests without a sleep that do not count as busy: as many as a client with a few
/// connections may have in progress.
const BUSY_THRESHOLD: u32 = 8;

thread_local! {
    static REQUESTS: Cell<u32> = const { Cell::new(0) };
}

/// Resets the count. Call it from tokio's `on_thread_park` on every thread of the server's runtime.
/// Without that, every thread soon counts as busy.
pub fn on_thread_park() {
    REQUESTS.set(0);
}

/// Counts a request.
pub(crate) fn count_request() {
    REQUESTS.set(REQUESTS.get().saturating_add(1));
}

/// Whether this thread has taken many requests since it last slept.
pub(crate) fn is_busy() -> bool {
    REQUESTS.get() > BUSY_THRESHOLD
}

/// Ready when a response may leave now. Otherwise wakes the task when all ready tasks have run. The
/// task must then write without another poll of this function.
pub(crate) fn poll_may_respond(context: &mut Context<'_>) -> Poll<()> {
    if !is_busy() {
        return Poll::Ready(());
    }
    wake_after_others(context);
    Poll::Pending
}

/// Wakes the task when all ready tasks have run.
pub(super) fn wake_after_others(context: &mut Context<'_>) {
    // The first poll makes the runtime wake the task once it has nothing else to do, or after some
    // sixty tasks. The future is not needed afterwards.
    let _ = pin!(yield_now()).poll(context);
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::{Arc, Mutex};

    use tokio::runtime;

    use super::*;

    /// The order in which a response and other work run that are ready in this order, after
    /// `requests` requests without a sleep.
    fn order(requests: u32) -> Vec<&'static str> {
        let done = Arc::new(Mutex::new(Vec::new()));
        let runtime = runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime can be made");
        runtime.block_on(async {
            on_thread_park();
            for _ in 0..requests {
                count_request();
            }
            let seen = Arc::clone(&done);
            let answer = tokio::spawn(async move {
                let mut asked = false;
                poll_fn(|context| {
                    if asked {
                        return Poll::Ready(());
                    }
                    asked = true;
                    poll_may_respond(context)
                })
                .await;
                seen.lock().expect("not poisoned").push("answer");
            });
            let seen = Arc::clone(&done);
            let work = tokio::spawn(async move {
                seen.lock().expect("not poisoned").push("work");
            });
            answer.await.expect("it ends");
            work.await.expect("it ends");
        });
        let done = done.lock().expect("not poisoned");
        done.clone()
    }

    #[test]
    fn responses_leave_at_once_until_there_are_many() {
        fn check(requests: u32, expected: [&str; 2]) {
            assert_eq!(order(requests), expected, "{requests}");
        }
        check(1, ["answer", "work"]);
        check(BUSY_THRESHOLD, ["answer", "work"]);
        check(BUSY_THRESHOLD + 1, ["work", "answer"]);
        check(u32::MAX, ["work", "answer"]);
    }
}
