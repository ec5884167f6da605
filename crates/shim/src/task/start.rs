//! Starts a task's first process.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::Task;
use super::context::TaskContext;
use super::state::Event;
use crate::bundle::record;
use crate::container::children::unexpected;
use crate::control::messages::{Message, Workload};
use crate::control::socket::ControlSocket;
use crate::error::{Result, ShimError};

/// How long a process that could not start may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(5);

impl Task {
    /// Starts its first process. Returns when a function can answer, and when a program runs.
    ///
    /// # Errors
    ///
    /// [`ShimError::Container`] with the cause why it cannot. `started` is called in between, before
    /// the event of its end can be published.
    pub(crate) async fn start(&self, started: impl FnOnce(i32)) -> Result<i32> {
        let pid = self.init.pid();
        let mut starting = self.init.starting.lock().await;
        self.init.state().after(Event::Start)?;
        if !self.is_sandbox() {
            let Some(mut link) = starting.take() else {
                let message = "the task could not be started before".to_owned();
                return Err(ShimError::Precondition(message));
            };
            if let Err(error) = self.begin(&mut link).await {
                // Its process ends by itself. The event of that comes before this answer.
                drop((link, starting));
                let _ = timeout(END_TIMEOUT, self.init.exit()).await;
                return Err(error);
            }
        }
        self.init.apply(Event::Start)?;
        started(pid);
        if self.is_sandbox() {
            let TaskContext {
                reaper, standby, ..
            } = &self.context;
            standby.prepare(reaper);
        }
        Ok(pid)
    }

    /// Lets the first process start, and hears how that went.
    async fn begin(&self, link: &mut ControlSocket) -> Result<()> {
        self.release().await?;
        let heard = link.next().await;
        match heard.map_err(ShimError::system("hearing of the start"))? {
            Some(Message::Ready) => Ok(()),
            Some(Message::Failed { cause }) => Err(ShimError::Container(cause)),
            // A native program's end of the link closed when it took over the process.
            None if self.workload() == Some(Workload::Native) => Ok(()),
            None => Err(ShimError::Container(
                "the function's process ended before it could answer".to_owned(),
            )),
            Some(other) => Err(unexpected(&other)),
        }
    }

    /// Lets the first process go on, which waits at a socket that libcontainer made.
    pub(super) async fn release(&self) -> Result<()> {
        let folder = record::folder(&self.bundle)?.join(&self.id);
        let release = async || {
            // Through a descriptor, because a socket's path may not be as long as a bundle's is.
            let folder = std::fs::File::open(&folder)?;
            let path = format!(
                "/proc/self/fd/{}/notify.sock",
                std::os::fd::AsRawFd::as_raw_fd(&folder)
            );
            let mut stream = UnixStream::connect(path).await?;
            stream.write_all(b"start container").await?;
            std::io::Result::Ok(())
        };
        release().await.map_err(ShimError::system(
            "letting the container's first process start",
        ))
    }
}
