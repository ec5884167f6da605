//! Starts the program: options, logs, the admin server, the watches, signals.

use std::env;
use std::process::ExitCode;

use clap::Parser as _;
use kube::{Client, Config};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sampan_artifact::Trust;
use sampan_telemetry::{Health, LogFormat, LogOptions, Registry, admin};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::fields::PodFields;
use crate::options::{Format, Options, OptionsError, processors};
use crate::serve::{StartError, serve};
use crate::watches;

/// The hidden argument with which the engine starts this program to compile a module.
const COMPILE: &str = "__compile";

/// Threads for blocking work: files, and the addresses of names. Each keeps memory of its own. Loads
/// have more, because they wait for files.
const MAX_BLOCKING_THREADS: usize = 64;

/// Reasons why the program could not start.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("logging cannot be set up")]
    Logs(#[source] sampan_telemetry::LogsError),
    #[error("the runtime cannot be started")]
    Runtime(#[source] std::io::Error),
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
    #[error(
        "no configuration for the API server: neither a kubeconfig nor a pod's service account is usable"
    )]
    Config(#[source] Box<kube::config::InferConfigError>),
    #[error("the client of the API server cannot be made")]
    Client(#[source] Box<kube::Error>),
    #[error("{address} cannot be listened on: choose another --admin")]
    Listen {
        address: std::net::SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Options(#[from] OptionsError),
    #[error("the pool cannot start")]
    Start(#[from] StartError),
    #[error("{0} has ended, which is a fault of this program; the container has to restart")]
    Ended(&'static str),
}

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    // This comes first: the compiler's process must start fast and hold no resources.
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == COMPILE) {
        let rest: Vec<String> = arguments
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect();
        return sampan_engine::compile_child(&rest);
    }
    let options = Options::parse();
    match start(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut message = format!("error: {failure}");
            let mut source = std::error::Error::source(&failure);
            while let Some(cause) = source {
                message.push_str(": ");
                message.push_str(&cause.to_string());
                source = cause.source();
            }
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn start(options: &Options) -> Result<(), Failure> {
    let logs = LogOptions {
        format: match options.log_format {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        },
        filter: options.log_filter.clone(),
        ..LogOptions::default()
    };
    // Dropped at the end, which flushes buffered lines.
    let _logs = logs.init().map_err(Failure::Logs)?;
    raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(worker_threads(processors()))
        .max_blocking_threads(MAX_BLOCKING_THREADS + options.load_threads())
        .on_thread_park(sampan_runner::on_thread_park)
        .build()
        .map_err(Failure::Runtime)?;
    let result = runtime.block_on(run(options));
    // Tasks that wait for the system, as for a name's address, are not awaited.
    runtime.shutdown_background();
    result
}

/// More threads than processors: while functions compute on every processor, the others accept requests and serve short
/// ones.
fn worker_threads(processors: usize) -> usize {
    processors + processors.clamp(2, 8)
}

async fn run(options: &Options) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Signals)?;
    let config = Config::infer()
        .await
        .map_err(|error| Failure::Config(Box::new(error)))?;
    let namespace = options.namespace.clone();
    let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
    tracing::info!(namespace, cluster = %config.cluster_url, "starting");
    let client = Client::try_from(config).map_err(|error| Failure::Client(Box::new(error)))?;

    let (registry, health) = (Registry::new(), Health::not_ready("loading functions"));
    let address = options.admin;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| Failure::Listen { address, source })?;
    let settings = options.settings(trust(), COMPILE, PodFields::of_process())?;
    let (mut serving, added) = serve(settings, &registry, health.clone())?;
    let (finished, end) = tokio::sync::oneshot::channel::<()>();
    let reports = serving.reports.clone();
    let admin = tokio::spawn(admin::serve_with(
        listener,
        registry,
        health,
        reports.clone(),
        async {
            // The sender is dropped at the end of the program.
            let _ = end.await;
        },
    ));
    let (events, wanted) = (serving.events.clone(), serving.wanted.clone());
    let mut watching = watches::start(client, namespace, events, wanted, added, &reports);
    let ended = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        // The pool would serve on without changes, and report nothing of it.
        () = serving.ended() => Some("the pool's task"),
        _ = watching.join_next() => Some("a watch"),
    };
    tracing::info!(ended, "stopping");
    let summary = serving.stop(options.drain_delay).await;
    tracing::info!(
        connections = summary.connections,
        cut = summary.cut,
        work_cut = summary.work_cut,
        drained_in = ?summary.drained_in,
        "stopped"
    );
    drop((watching, finished));
    if let Err(error) = admin.await {
        tracing::warn!(%error, "the admin server failed");
    }
    ended.map_or(Ok(()), |part| Err(Failure::Ended(part)))
}

/// A container has no certificate authorities of its own, unless its environment names some.
fn trust() -> Trust {
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    if named.into_iter().any(is_set) {
        Trust::System
    } else {
        Trust::Public
    }
}

/// Raises the limit of open files to this user's maximum: each function has a socket, and each
/// connection another.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
