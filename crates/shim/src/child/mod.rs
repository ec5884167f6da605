//! Children of the supervisor. Each makes one container, or runs one program in a container, with one
//! thread from beginning to end: libcontainer forks, which is not safe beside other threads.
//!
//! A container's first process holds only these things of the node: the streams, the supervisor's
//! socket until it can answer, and the one compiled module, verified before it was forked.

mod console;
mod create;
mod cwd;
mod error;
mod exec;
mod function;
mod guards;
mod mounts;
mod namespaces;
mod payload;
mod program;
mod spec;
mod volumes;

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use rustix::process::{Signal, set_parent_process_death_signal};
use serde::de::DeserializeOwned;

use self::error::ChildError;
use crate::control::messages::Message;
use crate::control::socket::ChildSocket;

/// Makes a container.
pub(crate) fn create() -> ExitCode {
    answer(|request, link| create::create(&request, link))
}

/// Runs a program in a container.
pub(crate) fn exec() -> ExitCode {
    answer(|request, link| exec::exec(&request, link))
}

/// Reads a module from containerd, for a child that is to have no asynchronous runtime itself.
pub(crate) fn fetch(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    payload::fetch::main(arguments)
}

fn answer<T: DeserializeOwned>(
    work: impl FnOnce(T, &std::rc::Rc<ChildSocket>) -> Result<(), ChildError>,
) -> ExitCode {
    // Without a supervisor nothing may wait here, for a reader of a named pipe for example. What is forked does not
    // inherit this.
    let killed = set_parent_process_death_signal(Some(Signal::KILL));
    let (Ok(link), Ok(())) = (take_link(), killed) else {
        return ExitCode::FAILURE;
    };
    let link = std::rc::Rc::new(link);
    let done = link
        .request()
        .map_err(ChildError::system("reading the supervisor's request"))
        .and_then(|request| work(request, &link));
    let Err(error) = done else {
        return ExitCode::SUCCESS;
    };
    // A supervisor that is gone does not want to know.
    let _ = link.send(&Message::Failed {
        cause: error.to_string(),
    });
    ExitCode::FAILURE
}

/// The socket to the supervisor, which is standard input at first.
fn take_link() -> std::io::Result<ChildSocket> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    Ok(ChildSocket::new(UnixStream::from(socket)))
}
