//! When the program ends: at a signal, or when whoever started it closes the pipe that is its stdin.

use std::io;
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// What is waited for.
pub(crate) struct Until {
    interrupted: Signal,
    terminated: Signal,
    hung_up: Signal,
    /// Sends nothing; it closes with stdin, or never.
    stdin: mpsc::Receiver<()>,
    /// Held so that the channel stays open when stdin does not count.
    _open: Option<mpsc::Sender<()>>,
}

impl Until {
    pub(crate) fn new(until_stdin_closes: bool) -> io::Result<Until> {
        let (sender, stdin) = mpsc::channel(1);
        let open = if until_stdin_closes {
            // A thread rather than a task: one that blocks in `read` does not hold up the end.
            thread::Builder::new()
                .name("stdin".to_owned())
                .spawn(move || {
                    // An error ends it as well; nobody can close what cannot be read.
                    let _read = io::copy(&mut io::stdin().lock(), &mut io::sink());
                    drop(sender);
                })?;
            None
        } else {
            Some(sender)
        };
        Ok(Until {
            interrupted: signal(SignalKind::interrupt())?,
            terminated: signal(SignalKind::terminate())?,
            hung_up: signal(SignalKind::hangup())?,
            stdin,
            _open: open,
        })
    }

    pub(crate) async fn end(&mut self) {
        tokio::select! {
            _ = self.interrupted.recv() => {}
            _ = self.terminated.recv() => {}
            _ = self.hung_up.recv() => {}
            _ = self.stdin.recv() => {}
        }
    }
}
