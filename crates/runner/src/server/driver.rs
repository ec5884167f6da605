//! Drives a connection's protocol and applies the server's orders and the watchdog's limits.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::config::ServerConfig;
use super::socket::Protocol;
use super::watch::{Order, Watch};
use super::watchdog::{CloseReason, Watchdog};

/// Reasons why a connection ended.
pub(super) enum ConnectionEnd {
    /// The protocol ended or failed.
    Protocol(hyper::Result<()>),
    Watchdog(CloseReason),
    Ordered,
}

/// The next action on a connection.
pub(super) enum Action {
    /// Start the protocol's graceful shutdown. Occurs once.
    Close,
    End(ConnectionEnd),
}

pub(super) struct ConnectionDriver {
    watch: Arc<Watch>,
    watchdog: Watchdog,
    /// The order seen last; a change wakes the task.
    seen_order: Option<Order>,
    closing: bool,
}

impl ConnectionDriver {
    /// Makes a driver for a new connection.
    pub(super) fn new(watch: &Arc<Watch>, config: &ServerConfig) -> Self {
        let watchdog = Watchdog::new(Arc::clone(watch), config);
        Self {
            watch: Arc::clone(watch),
            watchdog,
            seen_order: None,
            closing: false,
        }
    }

    /// Runs `connection` to its end; `close` starts its graceful shutdown.
    pub(super) async fn run<C>(
        &mut self,
        protocol: Protocol,
        mut connection: Pin<&mut C>,
        close: impl Fn(Pin<&mut C>),
    ) -> ConnectionEnd
    where
        C: Future<Output = hyper::Result<()>>,
    {
        poll_fn(|context| {
            loop {
                if let Poll::Ready(result) = connection.as_mut().poll(context) {
                    return Poll::Ready(ConnectionEnd::Protocol(result));
                }
                match ready!(self.poll(Some(protocol), context)) {
                    Action::Close => close(connection.as_mut()),
                    Action::End(end) => return Poll::Ready(end),
                }
            }
        })
        .await
    }

    /// Returns the next action. Call it after a poll of the connection.
    pub(super) fn poll(
        &mut self,
        protocol: Option<Protocol>,
        context: &mut Context<'_>,
    ) -> Poll<Action> {
        let ordered = self.current_order(context);
        if ordered == Order::Cut {
            return Poll::Ready(Action::End(ConnectionEnd::Ordered));
        }
        if !self.closing && (self.should_close(ordered, protocol)) {
            self.closing = true;
            self.watchdog.close();
            return Poll::Ready(Action::Close);
        }
        match ready!(self.watchdog.poll(context)) {
            CloseReason::Idle if protocol.is_some() => {
                self.closing = true;
                self.watchdog.close();
                Poll::Ready(Action::Close)
            }
            reason => Poll::Ready(Action::End(ConnectionEnd::Watchdog(reason))),
        }
    }

    /// Returns the current order. Wakes the task when the order changes.
    fn current_order(&mut self, context: &Context<'_>) -> Order {
        loop {
            let ordered = self.watch.ordered();
            if self.seen_order == Some(ordered) {
                return ordered;
            }
            // A wake-up consumes the waker, so each order needs another registration. The next
            // iteration sees an order that arrived since the read.
            self.watch.register(context.waker());
            self.seen_order = Some(ordered);
        }
    }

    fn should_close(&mut self, ordered: Order, protocol: Option<Protocol>) -> bool {
        if self.watch.is_flooded() {
            self.watchdog.end_soon();
            return true;
        }
        if ordered != Order::Drain {
            return false;
        }
        self.watchdog.shorten_header_timeout();
        // A new HTTP/1 connection without a request may be about to send one. That request is still
        // served, and the connection closes afterwards.
        protocol == Some(Protocol::Http2) || self.watch.calls() > 0
    }
}
