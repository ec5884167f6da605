//! The supervisor: one process for a pod, or for a container that stands alone. It answers
//! containerd, holds what containers need, reaps, and ends when containerd says so.
//!
//! One thread, no engine, no copying of streams: it is small, because every pod has one.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use containerd_shim::ExitSignal;
use containerd_shim::protos::shim_async::create_task;
use containerd_shim::protos::ttrpc::asynchronous::Server;
use containerd_shim::protos::ttrpc::asynchronous::transport::Listener;
use tokio::signal::unix::{SignalKind, signal};

use crate::container::children::StandbyChild;
use crate::container::reaper::Reaper;
use crate::pod::oom::OomKills;
use crate::service::Service;
use crate::service::calls::Calls;
use crate::task::context::TaskContext;
use crate::task::events::Events;
use crate::this_program::SERVE;

/// How long the last events and answers may take to leave.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long there may be no task before a supervisor passes for abandoned; up to twice as long.
const ABANDONED: Duration = Duration::from_mins(1);

/// What a supervisor is started with.
#[derive(Debug)]
pub(crate) struct Arguments {
    /// containerd's namespace.
    pub(crate) namespace: String,
    /// containerd's socket.
    pub(crate) address: String,
    /// containerd's socket for events.
    pub(crate) events: String,
    /// This supervisor's own socket, to remove in the end.
    pub(crate) socket: String,
    pub(crate) debug: bool,
}

impl Arguments {
    /// As arguments of a command.
    pub(crate) fn to_command(&self) -> Vec<String> {
        let debug = if self.debug { "debug" } else { "info" };
        [
            SERVE,
            &self.namespace,
            &self.address,
            &self.events,
            &self.socket,
            debug,
        ]
        .map(str::to_owned)
        .into()
    }

    /// From what follows [`SERVE`].
    pub(crate) fn of_command(arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let texts: Option<Vec<String>> = arguments
            .map(|argument| argument.into_string().ok())
            .collect();
        let [namespace, address, events, socket, level] = texts?.try_into().ok()?;
        Some(Self {
            namespace,
            address,
            events,
            socket,
            debug: level == "debug",
        })
    }
}

/// Runs the supervisor; its listening socket is standard input.
pub(crate) fn main(arguments: &Arguments) -> ExitCode {
    super::log::init(arguments.debug);
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the supervisor cannot go on");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> std::io::Result<()> {
    // As any other shim is called there; it is of no consequence.
    let _ = std::fs::write("/proc/self/comm", "containerd-shim");
    // Children of containers that lose their parent become ours, and so do containers.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let listener = UnixListener::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Unboxed, its state would be on the stack several times as long as the pod lives.
    let served = runtime.block_on(Box::pin(serve(arguments, listener)));
    runtime.shutdown_background();
    served
}

/// Ready when there has been no task for long: containerd was ended between starting this process and
/// hearing of it, and will never say that it is over.
async fn abandoned(service: &Service) {
    let mut idle = false;
    loop {
        tokio::time::sleep(ABANDONED).await;
        service.remove_orphans().await;
        if service.is_idle() && idle {
            return;
        }
        idle = service.is_idle();
    }
}

async fn serve(arguments: &Arguments, listener: UnixListener) -> std::io::Result<()> {
    // A signal to all of a node's processes is not for this one: containerd says when it is over.
    let _terminate = signal(SignalKind::terminate())?;
    let _interrupt = signal(SignalKind::interrupt())?;
    let reaper = Reaper::start()?;
    let (events, publisher) = Events::new(&arguments.namespace, arguments.events.clone());
    let publishing = tokio::spawn(publisher.run());
    let over = Arc::new(ExitSignal::default());
    let service = Service::new(
        arguments.namespace.clone(),
        arguments.address.clone(),
        TaskContext {
            events,
            reaper,
            standby: StandbyChild::default(),
            oom_kills: OomKills::default(),
        },
        Arc::clone(&over),
    );
    let service = Arc::new(service);
    let calls = Arc::new(Calls(Arc::clone(&service)));
    let mut server = Server::new()
        .add_listener(Listener::try_from(listener)?)
        .register_service(create_task(calls));
    server.start().await.map_err(std::io::Error::other)?;
    tokio::select! {
        () = over.wait() => {}
        () = abandoned(&service) => tracing::warn!("containerd has no task of this supervisor; it ends"),
    }
    drop(service);
    // The socket goes before its server does.
    let removed = std::fs::remove_file(&arguments.socket);
    // containerd has the events; it does not need the last answer.
    let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, server.shutdown()).await;
    drop(server);
    let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, publishing).await;
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
