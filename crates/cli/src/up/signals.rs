//! SIGINT and SIGTERM: the first one drains, the second one ends the program at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::exit::Exit;
use crate::failure::Failure;

/// A signal that ends the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
}

impl Signal {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }

    fn exit(self) -> Exit {
        match self {
            Self::Interrupt => Exit::Interrupted,
            Self::Terminate => Exit::Terminated,
        }
    }
}

/// Handles both signals. The first one arrives in the channel; the second one ends the program at
/// once.
pub(crate) fn take_over() -> Result<watch::Receiver<Option<Signal>>, Failure> {
    let failed = |error| Failure::system("signals cannot be received", &error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => Signal::Interrupt,
                _ = terminate.recv() => Signal::Terminate,
            }
        };
        let first = next().await;
        // The receiver is gone only when the program is already ending.
        let _ = sender.send(Some(first));
        let second = next().await;
        std::process::exit(second.exit().code().into());
    });
    Ok(receiver)
}

/// Waits for the first signal.
pub(crate) async fn first(receiver: &mut watch::Receiver<Option<Signal>>) -> Signal {
    match receiver.wait_for(Option::is_some).await {
        Ok(signal) => signal.unwrap_or(Signal::Terminate),
        // The task above ends only with the program.
        Err(_) => std::future::pending().await,
    }
}
