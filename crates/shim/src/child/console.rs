//! The streams of a process: the socket at which libcontainer hands over a terminal, or what containerd has in its place.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use libcontainer::container::builder::ContainerBuilder;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::error::ChildError;
use crate::bundle::stdio::Stdio;
use crate::control::messages::Message;
use crate::control::socket::ChildSocket;

/// Gives a process its streams: a terminal, or what containerd has for it.
pub(super) fn give_streams(
    builder: ContainerBuilder,
    console: Option<&Console>,
    stdio: &Stdio,
) -> Result<ContainerBuilder, ChildError> {
    if let Some(console) = console {
        return Ok(builder.with_console_socket(Some(&console.path)));
    }
    let opening = |what: &str| ChildError::system(format!("opening {what}"));
    // A pod that asks for a terminal has one stream for all output.
    let stderr = if stdio.terminal {
        stdio.open_stdout()
    } else {
        stdio.open_stderr()
    };
    Ok(builder
        .with_stdin(stdio.open_stdin().map_err(opening("stdin"))?)
        .with_stdout(stdio.open_stdout().map_err(opening("stdout"))?)
        .with_stderr(stderr.map_err(opening("stderr"))?))
}

/// Sends a message, with the terminal of the process that it is about, if it has one.
pub(super) fn send(
    link: &ChildSocket,
    message: &Message,
    console: Option<Console>,
    doing: &str,
) -> Result<(), ChildError> {
    let sent = match console {
        Some(console) => link.send_with(message, console.accept()?.as_fd()),
        None => link.send(message),
    };
    sent.map_err(ChildError::system(doing))
}

/// Waits for one terminal.
pub(super) struct Console {
    listener: UnixListener,
    path: PathBuf,
}

impl Console {
    /// Listens in a folder.
    pub(super) fn listen(folder: &Path, name: &str) -> Result<Self, ChildError> {
        let path = folder.join(name);
        let listen = || {
            // A socket's path may not be as long as a bundle's is, so it is given from within.
            let before = std::env::current_dir()?;
            std::env::set_current_dir(folder)?;
            let listener = UnixListener::bind(name);
            std::env::set_current_dir(before)?;
            listener
        };
        let listener = listen().map_err(ChildError::system("listening for the terminal"))?;
        Ok(Self { listener, path })
    }

    /// Takes the terminal, which was sent by now.
    pub(super) fn accept(self) -> Result<OwnedFd, ChildError> {
        let accept = || {
            let (stream, _) = self.listener.accept()?;
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let mut name = [0; 4096];
            recvmsg(
                &stream,
                &mut [IoSliceMut::new(&mut name)],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            )?;
            let mut messages = ancillary.drain();
            messages
                .find_map(|message| match message {
                    RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
                    _ => None,
                })
                .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
        };
        let terminal = accept().map_err(ChildError::system("taking over the terminal"))?;
        // There is one connection only.
        let _ = std::fs::remove_file(&self.path);
        Ok(terminal)
    }
}
