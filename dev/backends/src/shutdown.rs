//! Waits for the end of the program: a signal, or the end of its stdin, which the caller closes.

use std::io;
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// The causes of the end.
pub(crate) struct Shutdown {
    interrupted: Signal,
    terminated: Signal,
    hung_up: Signal,
    /// Receives nothing; it closes with stdin, or never.
    stdin: mpsc::Receiver<()>,
    /// Held so that the channel stays open when the end of stdin does not count.
    _open: Option<mpsc::Sender<()>>,
}

impl Shutdown {
    pub(crate) fn new(until_stdin_closes: bool) -> io::Result<Shutdown> {
        let (sender, stdin) = mpsc::channel(1);
        let open = if until_stdin_closes {
            // A thread rather than a task: a task that blocks in `read` would delay the end of the
            // runtime.
            thread::Builder::new()
                .name("stdin".to_owned())
                .spawn(move || {
                    // An error ends the program as well, because the end of stdin could not be
                    // noticed any more.
                    let _read = io::copy(&mut io::stdin().lock(), &mut io::sink());
                    drop(sender);
                })?;
            None
        } else {
            Some(sender)
        };
        Ok(Shutdown {
            interrupted: signal(SignalKind::interrupt())?,
            terminated: signal(SignalKind::terminate())?,
            hung_up: signal(SignalKind::hangup())?,
            stdin,
            _open: open,
        })
    }

    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupted.recv() => {}
            _ = self.terminated.recv() => {}
            _ = self.hung_up.recv() => {}
            _ = self.stdin.recv() => {}
        }
    }
}
