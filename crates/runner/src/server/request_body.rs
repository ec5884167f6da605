//! Request body with limits on length and stalls.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use sampan_engine::RequestBodyError;
use tokio::time::{Sleep, sleep_until};

use super::config::MINIMUM_PROGRESS;
use super::watch::{Busy, Watch};

/// The body of a request. It reads from the client only when polled.
#[derive(Debug)]
pub struct RequestBody {
    /// `None` when there is no body, which then costs nothing. Stands before `incoming`: dropping that
    /// wakes the connection, which must then no longer find a request in progress.
    guard: Option<Box<Guard>>,
    incoming: Incoming,
}

#[derive(Debug)]
struct Guard {
    watch: Arc<Watch>,
    /// The request is in progress while its body arrives, also when the response has left already.
    busy: Option<Busy>,
    fault: Arc<Fault>,
    limit: u64,
    received: u64,
    ended: bool,
    stall: Stall,
}

/// Detects a client that sends next to nothing while its body is read.
#[derive(Debug)]
struct Stall {
    timeout: Duration,
    /// Made when the body first has to wait.
    timer: Option<Pin<Box<Sleep>>>,
    /// Bytes received when the timer was set; `None` when it is not set.
    since: Option<u64>,
}

/// The failure of a body, shared with the code that awaits the response.
#[derive(Debug, Default)]
struct Fault {
    error: OnceLock<RequestBodyError>,
    waker: AtomicWaker,
}

/// Observes a failure of the body even if its reader hides it.
#[derive(Debug)]
pub struct BodyFault(Option<Arc<Fault>>);

impl RequestBody {
    pub(super) fn new(
        incoming: Incoming,
        watch: &Arc<Watch>,
        busy: &Busy,
        timeout: Duration,
    ) -> Self {
        let guard = (!incoming.is_end_stream()).then(|| {
            Box::new(Guard {
                watch: Arc::clone(watch),
                busy: Some(busy.clone()),
                fault: Arc::default(),
                limit: u64::MAX,
                received: 0,
                ended: false,
                stall: Stall {
                    timeout,
                    timer: None,
                    since: None,
                },
            })
        });
        Self { guard, incoming }
    }

    /// Allows `limit` bytes. Returns an error if the client has announced more. If the client sends
    /// more than that later, the body fails.
    pub fn limit(&mut self, limit: u64) -> Result<(), RequestBodyError> {
        let Some(guard) = &mut self.guard else {
            return Ok(());
        };
        if self.incoming.size_hint().lower() > limit {
            return Err(RequestBodyError::TooLarge { limit });
        }
        guard.limit = limit;
        Ok(())
    }

    /// Returns a handle to observe a failure after the body was given away.
    pub fn fault(&self) -> BodyFault {
        BodyFault(self.guard.as_ref().map(|guard| Arc::clone(&guard.fault)))
    }
}

impl BodyFault {
    /// Waits for `answer`, unless the body fails first: the response to a truncated request must
    /// not look like a response to the whole one.
    pub async fn race<T>(self, answer: impl Future<Output = T>) -> Result<T, RequestBodyError> {
        let Some(fault) = self.0 else {
            return Ok(answer.await);
        };
        let mut answer = pin!(answer);
        poll_fn(|context| {
            fault.waker.register(context.waker());
            let polled = answer.as_mut().poll(context);
            match fault.error.get() {
                Some(error) => Poll::Ready(Err(error.clone())),
                None => polled.map(Ok),
            }
        })
        .await
    }
}

impl Guard {
    fn fail(&mut self, error: RequestBodyError) -> RequestBodyError {
        self.ended = true;
        self.watch.leave_unread();
        // Only the first error is kept, and there is only one.
        let _ = self.fault.error.set(error.clone());
        self.fault.waker.wake();
        error
    }

    fn receive(&mut self, frame: &Frame<Bytes>) -> Result<(), RequestBodyError> {
        let Some(data) = frame.data_ref() else {
            return Ok(());
        };
        self.received += data.len() as u64;
        if self.received > self.limit {
            return Err(self.fail(RequestBodyError::TooLarge { limit: self.limit }));
        }
        self.stall.progress(self.received);
        Ok(())
    }
}

impl Stall {
    fn progress(&mut self, received: u64) {
        if self
            .since
            .is_some_and(|since| received - since >= MINIMUM_PROGRESS)
        {
            self.since = None;
        }
    }

    /// Ready when the client's time is over.
    fn poll(&mut self, received: u64, context: &mut Context<'_>) -> Poll<()> {
        let end = || (Instant::now() + self.timeout).into();
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(end())));
        if self.since.is_none() {
            self.since = Some(received);
            timer.as_mut().reset(end());
        }
        timer.as_mut().poll(context)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let Self { guard, incoming } = &mut *self;
        let Some(guard) = guard else {
            return Poll::Ready(None);
        };
        if let Some(error) = guard.fault.error.get() {
            return Poll::Ready(Some(Err(error.clone())));
        }
        let polled = match Pin::new(&mut *incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => Some(guard.receive(&frame).map(|()| frame)),
            Poll::Ready(Some(Err(error))) => {
                Some(Err(guard.fail(RequestBodyError::Broken(error.to_string()))))
            }
            Poll::Ready(None) => {
                guard.ended = true;
                None
            }
            Poll::Pending => {
                ready!(guard.stall.poll(guard.received, context));
                Some(Err(guard.fail(RequestBodyError::Stalled)))
            }
        };
        if guard.ended || incoming.is_end_stream() {
            // From now on the bytes of this connection are the next request's head.
            guard.busy = None;
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.guard.as_ref().is_none_or(|guard| guard.ended) || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(guard) = &self.guard
            && !self.is_end_stream()
        {
            guard.watch.leave_unread();
        }
    }
}
