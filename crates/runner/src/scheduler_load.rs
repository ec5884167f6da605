//! Whether this thread has time between requests.
//!
//! A round is what a thread of the runtime does between two sleeps. When it takes many requests
//! without sleeping, some are waiting that are read already, and the least work for all of them
//! beats the earliest answer to one:
//!
//! - Answers leave together, once everything else that is ready has run. Writing an answer wakes
//!   whoever waits for it, and a client on the same machine, be it a proxy or a load generator,
//!   would take the processor for that one answer and give it back.
//! - The engine clears an instance away at once, see [`sampan_engine::CallContext::busy`].

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

use tokio::task::yield_now;

/// Requests in one round that do not make it a busy one yet: as many as a client with a few
/// connections may have under way.
const FEW: u32 = 8;

thread_local! {
    static REQUESTS: Cell<u32> = const { Cell::new(0) };
}

/// Begins a round: to be called when a thread of the server's runtime is about to sleep, which
/// tokio's `on_thread_park` does. Without that, every thread soon passes for a busy one.
pub fn thread_sleeps() {
    REQUESTS.set(0);
}

/// Counts a request.
pub(crate) fn request_begins() {
    REQUESTS.set(REQUESTS.get().saturating_add(1));
}

/// Whether this round has had many requests.
pub(crate) fn is_busy() -> bool {
    REQUESTS.get() > FEW
}

/// Ready when an answer may leave now. Otherwise the task is woken when everything that is ready has
/// run, and is to write then without asking again.
pub(crate) fn poll_leave(context: &mut Context<'_>) -> Poll<()> {
    if !is_busy() {
        return Poll::Ready(());
    }
    // Its first poll has the runtime wake the task once it has nothing else to do, or after some
    // sixty tasks. The future has no part in that any more.
    pin!(yield_now()).poll(context)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::{Arc, Mutex};

    use tokio::runtime;

    use super::*;

    /// In which order an answer and other work are done that are ready in this order, in a round
    /// that has had `requests`.
    fn order(requests: u32) -> Vec<&'static str> {
        let done = Arc::new(Mutex::new(Vec::new()));
        let runtime = runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime can be made");
        runtime.block_on(async {
            thread_sleeps();
            for _ in 0..requests {
                request_begins();
            }
            let seen = Arc::clone(&done);
            let answer = tokio::spawn(async move {
                let mut asked = false;
                poll_fn(|context| {
                    if asked {
                        return Poll::Ready(());
                    }
                    asked = true;
                    poll_leave(context)
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
    fn answers_leave_at_once_until_there_are_many() {
        fn check(requests: u32, expected: [&str; 2]) {
            assert_eq!(order(requests), expected, "{requests}");
        }
        check(1, ["answer", "work"]);
        check(FEW, ["answer", "work"]);
        check(FEW + 1, ["work", "answer"]);
        check(u32::MAX, ["work", "answer"]);
    }
}
