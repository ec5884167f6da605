//! Who may run: a function's requests in progress, and behind them a queue in the order of arrival.
//!
//! One word of memory holds both numbers. Entering a function with room and leaving one without a
//! queue are one atomic operation each; only a queue takes the lock. A slot that becomes free while
//! others wait is handed to the first of them and never seen as free, so nobody overtakes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// One waiting request, in the high half of the state; the low half counts requests in progress.
const ONE_WAITING: u64 = 1 << 32;

/// Admits requests to one function.
///
/// Who has entered must leave; the type does not see to that, so that entering needs no reference
/// count of its own.
#[derive(Debug)]
pub(crate) struct Admission {
    state: AtomicU64,
    most: u64,
    queue: u64,
    waiters: Mutex<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    /// By ticket, and so in the order of arrival.
    by_ticket: BTreeMap<u64, oneshot::Sender<()>>,
    next_ticket: u64,
}

/// Why a request may not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crowded {
    /// The queue is full.
    QueueFull,
    /// The queue did not move in time.
    Waited,
}

impl Admission {
    /// Admits `most` requests at once and lets `queue` more wait.
    pub(crate) fn new(most: u32, queue: u32) -> Self {
        let (most, queue) = (u64::from(most), u64::from(queue));
        Self {
            state: AtomicU64::new(0),
            most,
            queue,
            waiters: Mutex::default(),
        }
    }

    /// Enters at once, or after waiting in the queue for no longer than `patience`.
    pub(crate) async fn enter(&self, patience: Duration) -> Result<(), Crowded> {
        if self.try_enter() {
            return Ok(());
        }
        let Some(mut waiting) = self.line_up()? else {
            return Ok(());
        };
        match timeout(patience, &mut waiting.turn).await {
            Ok(Ok(())) => {
                waiting.over = true;
                Ok(())
            }
            // The sender is in the queue for as long as this waits, so only time can end it.
            Ok(Err(_)) | Err(_) => Err(Crowded::Waited),
        }
    }

    /// Makes room for the next request.
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
                // Who waits takes its ticket back under the lock before it goes away, so it is here.
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
        // Also says no when somebody waits, because the state is then larger than any limit.
        while state < self.most {
            match self.swap(state, state + 1) {
                Ok(()) => return true,
                Err(actual) => state = actual,
            }
        }
        false
    }

    /// Joins the queue, or enters after all: then there is nothing to wait for.
    fn line_up(&self) -> Result<Option<Waiting<'_>>, Crowded> {
        let mut waiters = self.waiters();
        // The number of waiting requests changes only under the lock; that in progress may fall,
        // and then the exchange below fails and the room is seen.
        loop {
            if self.try_enter() {
                return Ok(None);
            }
            let state = self.state.load(Ordering::Acquire);
            if state < self.most {
                continue;
            }
            if state / ONE_WAITING >= self.queue {
                return Err(Crowded::QueueFull);
            }
            if self.swap(state, state + ONE_WAITING).is_ok() {
                break;
            }
        }
        let (sender, turn) = oneshot::channel();
        let ticket = waiters.next_ticket;
        waiters.next_ticket += 1;
        waiters.by_ticket.insert(ticket, sender);
        Ok(Some(Waiting {
            admission: self,
            ticket,
            turn,
            over: false,
        }))
    }

    fn swap(&self, from: u64, to: u64) -> Result<(), u64> {
        let swapped =
            self.state
                .compare_exchange_weak(from, to, Ordering::AcqRel, Ordering::Acquire);
        swapped.map(|_| ())
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        // Nothing panics between lock and unlock.
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue.
struct Waiting<'a> {
    admission: &'a Admission,
    ticket: u64,
    turn: oneshot::Receiver<()>,
    /// The turn has come and was taken.
    over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let mut waiters = self.admission.waiters();
        if waiters.by_ticket.remove(&self.ticket).is_some() {
            self.admission
                .state
                .fetch_sub(ONE_WAITING, Ordering::AcqRel);
        } else {
            // The slot was handed over while its owner went away.
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

    use super::{Admission, Crowded};

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
        assert_eq!(admission.enter(LONG).await, Err(Crowded::QueueFull));
        admission.leave();
        check(&admission, 2, 0);
        assert_eq!(third.await, Ok(()));
        admission.leave();
        admission.leave();
        check(&admission, 0, 0);
    }

    #[tokio::test]
    async fn without_a_queue_nobody_waits() {
        let admission = Admission::new(1, 0);
        assert_eq!(admission.enter(LONG).await, Ok(()));
        assert_eq!(admission.enter(LONG).await, Err(Crowded::QueueFull));
    }

    #[tokio::test]
    async fn turns_come_in_the_order_of_arrival() {
        let admission = Admission::new(1, 10);
        assert_eq!(admission.enter(LONG).await, Ok(()));
        let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(admission.enter(LONG))).collect();
        for entering in &mut waiting {
            assert!(!is_ready(entering).await);
        }
        for index in 0..waiting.len() {
            admission.leave();
            // A newcomer does not overtake.
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
    async fn who_goes_away_leaves_the_queue() {
        let admission = Admission::new(1, 2);
        assert_eq!(admission.enter(LONG).await, Ok(()));
        let mut first = Box::pin(admission.enter(LONG));
        let mut second = Box::pin(admission.enter(LONG));
        assert!(!is_ready(&mut first).await);
        assert!(!is_ready(&mut second).await);
        drop(first);
        check(&admission, 1, 1);
        // Handed over, and not taken.
        admission.leave();
        check(&admission, 1, 0);
        drop(second);
        check(&admission, 0, 0);
    }

    #[tokio::test]
    async fn patience_ends() {
        let admission = Admission::new(1, 2);
        assert_eq!(admission.enter(LONG).await, Ok(()));
        assert_eq!(
            admission.enter(Duration::from_millis(10)).await,
            Err(Crowded::Waited)
        );
        check(&admission, 1, 0);
    }

    /// Many tasks enter and leave, some giving up while they wait: never too many at once, and
    /// nothing is lost in the end.
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
                        let patience = Duration::from_micros((seed * 7 + round * 13) % 300);
                        if admission.enter(patience).await.is_err() {
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
