//! The terminal of a process, and what is copied between it and containerd.

use std::os::fd::OwnedFd;

use containerd_shim::io::{IoTasks, Pty};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::bundle::stdio::Stdio;
use crate::error::{Result, ShimError};

/// A terminal, which the copying tasks hold the streams of.
pub(crate) struct Terminal {
    pty: Pty,
    copies: IoTasks,
}

impl Terminal {
    /// Begins to copy between a process's terminal and its streams.
    ///
    /// # Errors
    ///
    /// [`ShimError::Container`] when there is no terminal, or it cannot be used.
    pub(super) fn attach(stdio: &Stdio, pty: Option<OwnedFd>) -> Result<Self> {
        let pty = pty.ok_or_else(|| {
            ShimError::Container("the process's terminal was not handed over".to_owned())
        })?;
        let failed = |error: containerd_shim::Error| {
            ShimError::Container(format!("the process's terminal cannot be used: {error}"))
        };
        let pty = Pty::new(pty.into()).map_err(failed)?;
        let copies = IoTasks::default();
        if !stdio.stdin.is_empty() {
            copies
                .copy_from_fifo(&stdio.stdin, pty.clone())
                .map_err(failed)?;
        }
        if !stdio.stdout.is_empty() {
            copies
                .copy_to_fifo(pty.clone(), &stdio.stdout)
                .map_err(failed)?;
        }
        Ok(Self { pty, copies })
    }

    /// Resizes it.
    ///
    /// # Errors
    ///
    /// [`ShimError::System`] when it cannot be resized.
    pub(super) fn resize(&self, width: u32, height: u32) -> Result<()> {
        let cells = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
        let size = Winsize {
            ws_row: cells(height),
            ws_col: cells(width),
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.pty, size)
            .map_err(|error| ShimError::system("resizing the terminal")(error.into()))
    }

    /// Lets go of standard input.
    pub(super) fn close_stdin(&self) {
        self.copies.close_input();
    }

    /// Ends the copying, after all output.
    pub(super) async fn shut_down(self) {
        self.copies.shutdown().await;
    }
}
