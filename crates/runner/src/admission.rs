//! Admission control of one function: a concurrency limit with a bounded FIFO queue.
//!
//! One word of memory holds both counts. Without a queue, entering and leaving are one atomic
//! operation each; only the queue takes the lock. A slot that becomes free while requests wait
//! passes to the first of them and never counts as free, so no request overtakes another.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// One waiting request, in the high half of the state. The low half counts requests in progress.
const ONE_WAITING: u64 = 1 << 32;

/// Admits requests to one function.
///
/// The caller must pair each successful `enter` with `leave`. The type does not enforce this, so
/// that entering needs no reference count.
#[derive(Debug)]
pub(crate) struct Admission {
    state: AtomicU64,
    most: u64,
    queue: u64,
    waiters: Mutex<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    /// Senders by ticket, and so in the order of arrival.
    by_ticket: BTreeMap<u64, oneshot::Sender<()>>,
    next_ticket: u64,
}

/// Reasons why a request was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The queue is full.
    QueueFull,
    /// The request waited longer than its timeout.
    QueueTimeout,
}

impl Admission {
    /// Admits `most` concurrent requests and queues up to `queue` more.
    pub(crate) fn new(most: u32, queue: u32) -> Self {
        let (most, queue) = (u64::from(most), u64::from(queue));
        Self {
            state: AtomicU64::new(0),
            most,
            queue,
            waiters: Mutex::default(),
        }
    }

    /// Enters at once, or after waiting in the queue for at most `queue_timeout`.
    pub(crate) async fn enter(&self, queue_timeout: Duration) -> Result<(), Rejection> {
        if self.try_enter() {
            return Ok(());
        }
        let Some(mut waiting) = self.enqueue()? else {
            return Ok(());
        };
        match timeout(queue_timeout, &mut waiting.slot).await {
            Ok(Ok(())) => {
                waiting.received = true;
                Ok(())
            }
            // The sender stays in the queue while this waits, so only the timeout ends the wait.
            Ok(Err(_)) | Err(_) => Err(Rejection::QueueTimeout),
        }
    }

    /// Frees the slot, or passes it to the first request in the queue.
    pub(crate) fn leave(&self) {
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            if state < ONE_WAITING {
                match self.swap(state, state - 1) {
                    Ok(()) => return,
                    Err(actual) => state = actual,
                }
                continue;
            }
            let mut waiters = self.waiters();
            if let Some((_, first)) = waiters.by_ticket.pop_first() {
                self.state.fetch_sub(ONE_WAITING, Ordering::AcqRel);
                // A waiting request removes its ticket under the lock before it goes away, so the
                // receiver exists.
                let _ = first.send(());
                return;
            }
            state = self.state.load(Ordering::Acquire);
        }
    }

    /// Requests in progress.
    pub(crate) fn in_progress(&self) -> u64 {
        self.state.load(Ordering::Relaxed) % ONE_WAITING
    }

    /// Requests waiting.
    pub(crate) fn waiting(&self) -> u64 {
        self.state.load(Ordering::Relaxed) / ONE_WAITING
    }

    fn try_enter(&self) -> bool {
        let mut state = self.state.load(Ordering::Acquire);
        // Also false while requests wait, because the state is then larger than any limit.
        while state < self.most {
            match self.swap(state, state + 1) {
                Ok(()) => return true,
                Err(actual) => state = actual,
            }
        }
        false
    }

    /// Joins the queue. `None` when a slot became free and was taken.
    fn enqueue(&self) -> Result<Option<QueuedRequest<'_>>, Rejection> {
        let mut waiters = self.waiters();
        // The number of waiting requests changes only under the lock. The number in progress may
        // fall; the exchange below then fails, and the next iteration takes the free slot.
        loop {
            if self.try_enter() {
                return Ok(None);
            }
            let state = self.state.load(Ordering::Acquire);
            if state < self.most {
                continue;
            }
            if state / ONE_WAITING >= self.queue {
                return Err(Rejection::QueueFull);
            }
            if self.swap(state, state + ONE_WAITING).is_ok() {
                break;
            }
        }
        let (sender, slot) = oneshot::channel();
        let ticket = waiters.next_ticket;
        waiters.next_ticket += 1;
        waiters.by_ticket.insert(ticket, sender);
        Ok(Some(QueuedRequest {
            admission: self,
            ticket,
            slot,
            received: false,
        }))
    }

    fn swap(&self, from: u64, to: u64) -> Result<(), u64> {
        let swapped =
            self.state
                .compare_exchange_weak(from, to, Ordering::AcqRel, Ordering::Acquire);
        swapped.map(|_| ())
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        // No code panics between lock and unlock.
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in the queue.
struct QueuedRequest<'a> {
    admission: &'a Admission,
    ticket: u64,
    slot: oneshot::Receiver<()>,
    /// Whether the slot was received.
    received: bool,
}

impl Drop for QueuedRequest<'_> {
    fn drop(&mut self) {
        if self.received {
            return;
        }
        let mut waiters = self.admission.waiters();
        if waiters.by_ticket.remove(&self.ticket).is_some() {
            self.admission
                .state
                .fetch_sub(ONE_WAITING, Ordering::AcqRel);
        } else {
            // The slot was passed on while this request was cancelled.
            drop(waiters);
            self.admission.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::Poll;
    use std::time::Duration;

    use super::{Admission, Rejection};

    const LONG: Duration = Duration::from_mins(1);

    /// Polls once.
    async fn is_ready(future: &mut (impl Future + Unpin)) -> bool {
        poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context).is_ready())).await
    }

    fn check(admission: &Admission, in_progress: u64, waiting: u64) {
        assert_eq!(
            (admission.in_progress(), admission.waiting()),
            (in_progress, waiting)
        );
    }

    #[tokio::test]
    async fn the_queue_begins_at_the_limit_and_is_bounded() {
        let admission = Admission::new(2, 1);
        assert_eq!(admission.enter(LONG).await, Ok(()));
        assert_eq!(admission.enter(LONG).await, Ok(()));
        let mut third = Box::pin(admission.enter(LONG));
        assert!(!is_ready(&mut third).await);
        check(&admission, 2, 1);
        assert_eq!(admission.enter(LONG).await, Err(Rejection::QueueFull));
        admission.leave();
        check(&admission, 2, 0);
        assert_eq!(third.await, Ok(()));
        admission.leave();
        admission.leave();
        check(&admission, 0, 0);
    }

    #[tokio::test]
    async fn without_a_queue_requests_are_rejected() {
        let admission = Admission::new(1, 0);
        assert_eq!(admission.enter(LONG).await, Ok(()));
        assert_eq!(admission.enter(LONG).await, Err(Rejection::QueueFull));
    }

    #[tokio::test]
    async fn requests_are_admitted_in_the_order_of_arrival() {
        let admission = Admission::new(1, 10);
        assert_eq!(admission.enter(LONG).await, Ok(()));
        let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(admission.enter(LONG))).collect();
        for entering in &mut waiting {
            assert!(!is_ready(entering).await);
        }
        for index in 0..waiting.len() {
            admission.leave();
            // A later request does not overtake.
            assert!(!is_ready(&mut Box::pin(admission.enter(LONG))).await);
            for (other, entering) in waiting.iter_mut().enumerate().skip(index) {
                assert_eq!(
                    is_ready(entering).await,
                    other == index,
                    "{other} at {index}"
                );
            }
        }
        admission.leave();
        check(&admission, 0, 0);
    }

    #[tokio::test]
    async fn a_cancelled_request_leaves_the_queue() {
        let admission = Admission::new(1, 2);
        assert_eq!(admission.enter(LONG).await, Ok(()));
        let mut first = Box::pin(admission.enter(LONG));
        let mut second = Box::pin(admission.enter(LONG));
        assert!(!is_ready(&mut first).await);
        assert!(!is_ready(&mut second).await);
        drop(first);
        check(&admission, 1, 1);
        // The slot is passed on, but not taken.
        admission.leave();
        check(&admission, 1, 0);
        drop(second);
        check(&admission, 0, 0);
    }

    #[tokio::test]
    async fn waiting_times_out() {
        let admission = Admission::new(1, 2);
        assert_eq!(admission.enter(LONG).await, Ok(()));
        assert_eq!(
            admission.enter(Duration::from_millis(10)).await,
            Err(Rejection::QueueTimeout)
        );
        check(&admission, 1, 0);
    }

    /// Many tasks enter and leave, and some are cancelled while they wait. The limit always holds,
    /// and no slot is lost in the end.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn slots_are_neither_lost_nor_doubled() {
        const MOST: u64 = 3;
        let admission = Arc::new(Admission::new(3, 1000));
        let inside = Arc::new(AtomicU64::new(0));
        let tasks: Vec<_> = (0..100u64)
            .map(|seed| {
                let (admission, inside) = (Arc::clone(&admission), Arc::clone(&inside));
                tokio::spawn(async move {
                    for round in 0..200 {
                        let queue_timeout = Duration::from_micros((seed * 7 + round * 13) % 300);
                        if admission.enter(queue_timeout).await.is_err() {
                            continue;
                        }
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < MOST);
                        tokio::task::yield_now().await;
                        inside.fetch_sub(1, Ordering::SeqCst);
                        admission.leave();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        check(&admission, 0, 0);
        assert_eq!(admission.enter(Duration::ZERO).await, Ok(()));
    }
}
