//! The supervisor's side of its children: starting one, asking it, hearing what it says.

use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sampan_allocator::ARENAS;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::reaper::{Exit, Reaper};
use crate::control::messages::Message;
use crate::control::socket::ControlSocket;
use crate::error::{Result, ShimError};
use crate::this_program::{CREATE, SELF};

/// A child of the supervisor.
pub(crate) struct Child {
    pub(crate) pid: i32,
    /// Ready when it has ended.
    exit: oneshot::Receiver<Exit>,
}

/// For the answer of a call to leave before something that takes a moment is begun.
const START_DELAY: Duration = Duration::from_millis(1);

/// How long a child may take to clear away what it has made.
const CLEARING_TIMEOUT: Duration = Duration::from_secs(5);

impl Child {
    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) {
        if timeout(CLEARING_TIMEOUT, &mut self.exit).await.is_err() {
            tracing::warn!(pid = self.pid, "a child of the shim does not end");
        }
    }
}

/// A child that waits to be asked for a container. containerd takes its time between a pod's sandbox and its first
/// container, in which a child can start. The first container then need not wait for it.
#[derive(Clone, Default)]
pub(crate) struct StandbyChild(Arc<Mutex<Option<(ControlSocket, Child)>>>);

impl StandbyChild {
    /// Starts it, in a moment. Without one, a child is started with the container, and its failure fails that request.
    pub(crate) fn prepare(&self, reaper: &Reaper) {
        let (standby, reaper) = (self.clone(), reaper.clone());
        tokio::spawn(async move {
            tokio::time::sleep(START_DELAY).await;
            match spawn(CREATE, &reaper) {
                // One that waited before ends with its link.
                Ok(child) => drop(standby.set(Some(child))),
                Err(error) => tracing::warn!(%error, "no child waits for a container"),
            }
        });
    }

    /// Takes it, unless it has ended.
    fn take(&self) -> Option<(ControlSocket, Child)> {
        let (link, mut child) = self.set(None)?;
        child.exit.try_recv().is_err().then_some((link, child))
    }

    fn set(&self, child: Option<(ControlSocket, Child)>) -> Option<(ControlSocket, Child)> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *place, child)
    }
}

/// Asks the standby child for a container, or one that is started for it.
pub(crate) async fn ask_for_container<T: Serialize>(
    request: &T,
    reaper: &Reaper,
    standby: &StandbyChild,
) -> Result<(ControlSocket, Child)> {
    let Some((mut link, child)) = standby.take() else {
        return start_child(CREATE, request, reaper).await;
    };
    if link.ask(request).await.is_err() {
        // It has ended just now.
        return start_child(CREATE, request, reaper).await;
    }
    Ok((link, child))
}

/// Starts this program as a child and asks it.
pub(crate) async fn start_child<T: Serialize>(
    part: &str,
    request: &T,
    reaper: &Reaper,
) -> Result<(ControlSocket, Child)> {
    let (mut link, child) = spawn(part, reaper)?;
    link.ask(request)
        .await
        .map_err(ShimError::system(STARTING))?;
    Ok((link, child))
}

const STARTING: &str = "starting a child of the shim";

fn spawn(part: &str, reaper: &Reaper) -> Result<(ControlSocket, Child)> {
    let (link, theirs): (ControlSocket, OwnedFd) =
        ControlSocket::pair().map_err(ShimError::system(STARTING))?;
    let child = Command::new(SELF)
        .arg(part)
        // The supervisor's own: a function's allocator may reserve what it likes.
        .env_remove(ARENAS)
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .spawn()
        .map_err(ShimError::system(STARTING))?;
    // The reaper takes it like any other child.
    let pid = child.id().cast_signed();
    let exit = reaper.exit_of(pid);
    Ok((link, Child { pid, exit }))
}

/// What the child says next.
pub(crate) async fn receive_from(link: &mut ControlSocket, child: &mut Child) -> Result<Message> {
    match link
        .next()
        .await
        .map_err(ShimError::system("hearing of the container"))?
    {
        Some(Message::Failed { cause }) => Err(ShimError::Container(cause)),
        Some(message) => Ok(message),
        None => Err(ShimError::Container(match (&mut child.exit).await {
            Ok(Exit { code, .. }) => format!("the shim's child ended with code {code} and no word"),
            Err(_) => "the shim's child ended with no word".to_owned(),
        })),
    }
}

/// What a child should not have said.
pub(crate) fn unexpected(message: &Message) -> ShimError {
    ShimError::Container(format!("a child of the shim said {message:?} out of turn"))
}
