//! A process that keeps a scope of systemd's until the container's first process is in it: systemd starts no scope
//! without a process, and ends one that has none.

use std::io;
use std::process::{ChildStdin, Command, ExitCode, Stdio};

use sampan_allocator::ARENAS;

use crate::this_program::{HOLD, SELF};

/// The process; it ends when this is dropped, and the reaper takes it.
pub(crate) struct Holder {
    pub(super) pid: u32,
    /// Its standard input. When this end closes, the process ends.
    _input: Option<ChildStdin>,
}

impl Holder {
    /// Starts this program as the process.
    ///
    /// # Errors
    ///
    /// When no process can be started.
    pub(super) fn start() -> io::Result<Self> {
        let mut child = Command::new(SELF)
            .arg(HOLD)
            .env(ARENAS, "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self {
            pid: child.id(),
            _input: child.stdin.take(),
        })
    }
}

/// The process itself: waits for the end of its standard input.
pub(crate) fn main() -> ExitCode {
    match io::copy(&mut io::stdin(), &mut io::sink()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
