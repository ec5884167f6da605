//! One process that containerd knows of: a container's first one, or one that was run in it later.

use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::{Mutex as AsyncMutex, watch};

use super::state::{Event, Rejected, State};
use super::terminal::Terminal;
use crate::bundle::stdio::{Held, Stdio};
use crate::container::reaper::Exit;
use crate::control::socket::ControlSocket;
use crate::error::{Result, ShimError};

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

impl Process {
    /// One that will be made.
    pub(crate) fn new(exec_id: &str, stdio: Stdio) -> Self {
        Self::in_state(State::Added, exec_id, stdio, Handle::default())
    }

    /// A sandbox, which is no process of its own: it shows this number.
    pub(crate) fn of_sandbox(pid: i32) -> Self {
        let handle = Handle {
            pid,
            ..Handle::default()
        };
        Self::in_state(State::Created, "", Stdio::default(), handle)
    }

    fn in_state(state: State, exec_id: &str, stdio: Stdio, handle: Handle) -> Self {
        Self {
            exec_id: exec_id.to_owned(),
            stdio,
            state: watch::Sender::new(state),
            handle: Mutex::new(handle),
            starting: AsyncMutex::new(None),
        }
    }

    /// Notes which process it is, now that it is made. It may have ended already, which the reaper reports.
    ///
    /// # Errors
    ///
    /// [`Rejected`] when it was made before.
    pub(crate) fn set_pid(&self, pid: i32) -> std::result::Result<(), Rejected> {
        let pidfd = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        // Who sees the process as made waits here for its descriptor.
        let mut handle = self.handle();
        self.apply(Event::Make)?;
        handle.pid = pid;
        handle.pidfd = pidfd;
        Ok(())
    }

    pub(crate) fn holds(&self, held: Held) {
        self.handle().held = Some(held);
    }

    /// Begins to copy between its terminal and containerd. The copying tasks hold the streams from then on.
    ///
    /// # Errors
    ///
    /// [`ShimError::Container`] when there is no terminal, or it cannot be used.
    pub(crate) fn attach_terminal(&self, pty: Option<OwnedFd>) -> Result<()> {
        let terminal = Terminal::attach(&self.stdio, pty)?;
        let mut handle = self.handle();
        handle.terminal = Some(terminal);
        handle.held = None;
        Ok(())
    }

    /// Its number; 0 when there is none yet.
    pub(crate) fn pid(&self) -> i32 {
        self.handle().pid
    }

    pub(crate) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Takes it to the state after an event.
    ///
    /// # Errors
    ///
    /// [`Rejected`] when the event cannot happen now; the state stays what it is.
    pub(crate) fn apply(&self, event: Event) -> std::result::Result<(), Rejected> {
        let mut rejected = None;
        self.state.send_if_modified(|now| match now.after(event) {
            Ok(next) => std::mem::replace(now, next) != next,
            Err(error) => {
                rejected = Some(error);
                false
            }
        });
        rejected.map_or(Ok(()), Err)
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
        self.state().after(Event::Signal)?;
        let handle = self.handle();
        let pidfd = handle.pidfd.as_ref().ok_or(Rejected::Ended)?;
        match pidfd_send_signal(pidfd, signal) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::SRCH) => Err(Rejected::Ended.into()),
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
            terminal.close_stdin();
        }
    }

    /// Resizes its terminal, if it has one: clients ask for it without a terminal, too.
    ///
    /// # Errors
    ///
    /// [`ShimError::System`] when the terminal cannot be resized.
    pub(crate) fn resize(&self, width: u32, height: u32) -> Result<()> {
        let handle = self.handle();
        let terminal = handle.terminal.as_ref();
        terminal.map_or(Ok(()), |terminal| terminal.resize(width, height))
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
