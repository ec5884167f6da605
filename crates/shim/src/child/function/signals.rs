//! Signals that stop what a container runs: all that an image or a pod can name as its stop signal (`STOPSIGNAL`).
//!
//! containerd sends the image's signal first, and SIGKILL when the grace period is over. The first process of a
//! process namespace never sees a signal that it has no handler for.

use std::future::poll_fn;
use std::task::Poll;

use nix::sys::signal::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::child::error::ChildError;

const STOPPING: [Number; 8] = [
    Number::SIGHUP,
    Number::SIGINT,
    Number::SIGQUIT,
    Number::SIGUSR1,
    Number::SIGUSR2,
    Number::SIGALRM,
    Number::SIGTERM,
    Number::SIGPWR,
];

/// Receives signals that stop the process.
pub(super) struct StopSignals(Vec<(Number, Signal)>);

impl StopSignals {
    /// Begins to receive them, inside of a runtime. With a terminal, SIGWINCH says that its size has changed.
    ///
    /// # Errors
    ///
    /// [`ChildError::System`] when a handler cannot be set.
    pub(super) fn receive(has_terminal: bool) -> Result<Self, ChildError> {
        let size = (!has_terminal).then_some(Number::SIGWINCH);
        let receive = |number: Number| {
            let received = signal(SignalKind::from_raw(number as i32));
            received.map(|received| (number, received))
        };
        let signals = STOPPING.into_iter().chain(size).map(receive);
        let signals = signals.collect::<std::io::Result<_>>();
        signals
            .map(Self)
            .map_err(ChildError::system("receiving signals"))
    }

    /// Waits for one; returns its number.
    pub(super) async fn next(&mut self) -> i32 {
        poll_fn(|context| {
            for (number, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(*number as i32);
                }
            }
            Poll::Pending
        })
        .await
    }
}
