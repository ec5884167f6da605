//! The supervisor's side of its children: starting one, asking it, hearing what it says.

use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use containerd_shim::io::{IoTasks, Pty};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::SELF;
use crate::error::{Result, ShimError};
use crate::link::{Link, Message};
use crate::process::{Process, Terminal};
use crate::reaper::{Exit, Reaper};

/// Ready when a child has ended.
pub(crate) type ChildExit = oneshot::Receiver<Exit>;

/// Starts this program as a child and asks it.
pub(crate) async fn start_child<T: Serialize>(
    part: &str,
    request: &T,
    reaper: &Reaper,
) -> Result<(Link, ChildExit)> {
    let failed = || "starting a child of the shim";
    let (mut link, theirs): (Link, OwnedFd) = Link::pair().map_err(ShimError::system(failed()))?;
    let child = Command::new(SELF)
        .arg(part)
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .spawn()
        .map_err(ShimError::system(failed()))?;
    // The reaper takes it like any other child.
    let exit = reaper.exit_of(child.id().cast_signed());
    link.ask(request)
        .await
        .map_err(ShimError::system(failed()))?;
    Ok((link, exit))
}

/// What the child says first.
pub(crate) async fn hear(link: &mut Link, child: ChildExit) -> Result<Message> {
    match link
        .next()
        .await
        .map_err(ShimError::system("hearing of the container"))?
    {
        Some(Message::Failed { cause }) => Err(ShimError::Container(cause)),
        Some(message) => Ok(message),
        None => Err(ShimError::Container(match child.await {
            Ok(Exit { code, .. }) => format!("the shim's child ended with code {code} and no word"),
            Err(_) => "the shim's child ended with no word".to_owned(),
        })),
    }
}

/// What a child should not have said.
pub(crate) fn unexpected(message: &Message) -> ShimError {
    ShimError::Container(format!("a child of the shim said {message:?} out of turn"))
}

/// Copies between a process's terminal and containerd.
pub(crate) fn attach_terminal(process: &Process, pty: Option<OwnedFd>) -> Result<()> {
    let pty = pty.ok_or_else(|| {
        ShimError::Container("the process's terminal was not handed over".to_owned())
    })?;
    let failed = |error: containerd_shim::Error| {
        ShimError::Container(format!("the process's terminal cannot be used: {error}"))
    };
    let pty = Pty::new(pty.into()).map_err(failed)?;
    let copies = IoTasks::default();
    if !process.stdio.stdin.is_empty() {
        copies
            .copy_from_fifo(&process.stdio.stdin, pty.clone())
            .map_err(failed)?;
    }
    if !process.stdio.stdout.is_empty() {
        copies
            .copy_to_fifo(pty.clone(), &process.stdio.stdout)
            .map_err(failed)?;
    }
    process.has_terminal(Terminal { pty, copies });
    Ok(())
}
