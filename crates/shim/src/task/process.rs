//! One process that containerd knows of: a container's first one, or one that was run in it later.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use containerd_shim::io::{IoTasks, Pty};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::sync::{Mutex as AsyncMutex, watch};

use crate::bundle::stdio::{Held, Stdio};
use crate::container::reaper::Exit;
use crate::control::socket::ControlSocket;
use crate::error::{Result, ShimError};

/// How far a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is there, or will be, and waits for its start.
    Created,
    Running,
    Paused,
    Stopped(Exit),
}

/// A process.
pub(crate) struct Process {
    /// Its name within the task; empty for the first one.
    pub(crate) exec_id: String,
    pub(crate) stdio: Stdio,
    state: watch::Sender<State>,
    handle: Mutex<Handle>,
    /// Held while it is started, so that the event of its end follows that of its start.
    pub(crate) starting: AsyncMutex<Option<ControlSocket>>,
}

#[derive(Default)]
struct Handle {
    pid: i32,
    /// Means this process even when its number has come round to another. `None` for a sandbox.
    pidfd: Option<OwnedFd>,
    held: Option<Held>,
    terminal: Option<Terminal>,
}

/// The terminal of a process, and what copies between it and containerd.
pub(crate) struct Terminal {
    pub(crate) pty: Pty,
    pub(crate) copies: IoTasks,
}

impl Process {
    pub(crate) fn new(exec_id: &str, stdio: Stdio) -> Self {
        Self {
            exec_id: exec_id.to_owned(),
            stdio,
            state: watch::Sender::new(State::Created),
            handle: Mutex::default(),
            starting: AsyncMutex::new(None),
        }
    }

    /// Notes which process it is. It may have ended already, which the reaper reports.
    pub(crate) fn set_pid(&self, pid: i32) {
        let pidfd = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let mut handle = self.handle();
        handle.pid = pid;
        handle.pidfd = pidfd;
    }

    /// Notes that it is no process of its own: a sandbox shows the supervisor's number.
    pub(crate) fn set_sandbox_pid(&self, pid: i32) {
        self.handle().pid = pid;
    }

    pub(crate) fn holds(&self, held: Held) {
        self.handle().held = Some(held);
    }

    /// Notes its terminal. The copying tasks hold the streams from then on.
    pub(crate) fn has_terminal(&self, terminal: Terminal) {
        let mut handle = self.handle();
        handle.terminal = Some(terminal);
        handle.held = None;
    }

    /// Its number; 0 when there is none yet.
    pub(crate) fn pid(&self) -> i32 {
        self.handle().pid
    }

    pub(crate) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Sets the state, unless it has stopped, which it does once.
    pub(crate) fn set(&self, state: State) {
        self.state.send_if_modified(|now| {
            let changes = !matches!(now, State::Stopped(_));
            if changes {
                *now = state;
            }
            changes
        });
    }

    /// Ready when it has ended.
    pub(crate) async fn exit(&self) -> Exit {
        let mut state = self.state.subscribe();
        loop {
            if let State::Stopped(exit) = *state.borrow_and_update() {
                return exit;
            }
            // The sender is this very process's.
            if state.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Sends a signal.
    ///
    /// # Errors
    ///
    /// [`ShimError::NotFound`] when it has ended, as containerd expects.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let ended = || ShimError::NotFound("process already finished".to_owned());
        if let State::Stopped(_) = self.state() {
            return Err(ended());
        }
        let handle = self.handle();
        if handle.pid == 0 {
            return Err(ShimError::Precondition(
                "process not started yet".to_owned(),
            ));
        }
        let pidfd = handle.pidfd.as_ref().ok_or_else(ended)?;
        match pidfd_send_signal(pidfd, signal) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::SRCH) => Err(ended()),
            Err(error) => Err(ShimError::system("sending a signal")(error.into())),
        }
    }

    /// Lets go of standard input.
    pub(crate) fn close_stdin(&self) {
        let mut handle = self.handle();
        if let Some(held) = &mut handle.held {
            held.close_stdin();
        }
        if let Some(terminal) = &handle.terminal {
            terminal.copies.close_input();
        }
    }

    /// Resizes its terminal, if it has one: clients ask for it without a terminal, too.
    ///
    /// # Errors
    ///
    /// [`ShimError::System`] when the terminal cannot be resized.
    pub(crate) fn resize(&self, width: u32, height: u32) -> Result<()> {
        let handle = self.handle();
        let Some(terminal) = &handle.terminal else {
            return Ok(());
        };
        let cells = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
        let size = Winsize {
            ws_row: cells(height),
            ws_col: cells(width),
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&terminal.pty, size)
            .map_err(|error| ShimError::system("resizing the terminal")(error.into()))
    }

    /// Takes the streams, to let go of them.
    pub(crate) fn take_streams(&self) -> (Option<Held>, Option<Terminal>) {
        let mut handle = self.handle();
        (handle.held.take(), handle.terminal.take())
    }

    fn handle(&self) -> MutexGuard<'_, Handle> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
