//! Runs a connection's protocol under the server's orders and the watchdog's eyes.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::config::ServerConfig;
use super::socket::Protocol;
use super::watch::{Order, Watch};
use super::watchdog::{Verdict, Watchdog};

/// Why a connection's protocol stopped being run.
pub(super) enum End {
    /// It came to its own end, or failed.
    Protocol(hyper::Result<()>),
    Verdict(Verdict),
    Ordered,
}

/// What is to be done with a connection.
pub(super) enum Step {
    /// Tell its protocol to close. Comes once.
    Close,
    End(End),
}

pub(super) struct Conduct {
    watch: Arc<Watch>,
    watchdog: Watchdog,
    /// The last order that was heard; the next one wakes the task.
    heard: Option<Order>,
    closing: bool,
}

impl Conduct {
    /// For a connection that begins now.
    pub(super) fn new(watch: &Arc<Watch>, config: &ServerConfig) -> Self {
        let watchdog = Watchdog::new(Arc::clone(watch), config);
        Self {
            watch: Arc::clone(watch),
            watchdog,
            heard: None,
            closing: false,
        }
    }

    /// Runs `connection` to its end; `close` tells it to finish what is in progress.
    pub(super) async fn run<C>(
        &mut self,
        protocol: Protocol,
        mut connection: Pin<&mut C>,
        close: impl Fn(Pin<&mut C>),
    ) -> End
    where
        C: Future<Output = hyper::Result<()>>,
    {
        poll_fn(|context| {
            loop {
                if let Poll::Ready(result) = connection.as_mut().poll(context) {
                    return Poll::Ready(End::Protocol(result));
                }
                match ready!(self.poll(Some(protocol), context)) {
                    Step::Close => close(connection.as_mut()),
                    Step::End(end) => return Poll::Ready(end),
                }
            }
        })
        .await
    }

    /// Says what is to be done, after the connection was polled.
    pub(super) fn poll(
        &mut self,
        protocol: Option<Protocol>,
        context: &mut Context<'_>,
    ) -> Poll<Step> {
        let ordered = self.hear(context);
        if ordered == Order::Cut {
            return Poll::Ready(Step::End(End::Ordered));
        }
        if !self.closing && (self.is_to_close(ordered, protocol)) {
            self.closing = true;
            self.watchdog.close();
            return Poll::Ready(Step::Close);
        }
        match ready!(self.watchdog.poll(context)) {
            Verdict::Idle if protocol.is_some() => {
                self.closing = true;
                self.watchdog.close();
                Poll::Ready(Step::Close)
            }
            verdict => Poll::Ready(Step::End(End::Verdict(verdict))),
        }
    }

    /// What is ordered; the task is woken when that changes.
    fn hear(&mut self, context: &Context<'_>) -> Order {
        loop {
            let ordered = self.watch.ordered();
            if self.heard == Some(ordered) {
                return ordered;
            }
            // Waking takes the waker away, so each order that is heard needs another. An order that
            // came since it was read is seen by the next round.
            self.watch.register(context.waker());
            self.heard = Some(ordered);
        }
    }

    fn is_to_close(&mut self, ordered: Order, protocol: Option<Protocol>) -> bool {
        if self.watch.is_flooded() {
            self.watchdog.end_soon();
            return true;
        }
        if ordered != Order::Drain {
            return false;
        }
        self.watchdog.hurry();
        // An HTTP/1 connection that has not had a request yet may be about to: that one is still
        // answered, and the connection closed after it.
        protocol == Some(Protocol::Http2) || self.watch.calls() > 0
    }
}
