//! Starts the program: options, logs, the admin server, signals.

use std::process::ExitCode;

use clap::Parser as _;
use kube::{Client, Config};
use sampan_telemetry::{Health, LogFormat, LogOptions, Registry, admin};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::metrics::Metrics;
use crate::operate::operate;
use crate::options::{Command, Format, Options, RunOptions};

/// Reasons why the program could not start or had to end.
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
    #[error("this operator must stop")]
    Lost(#[source] crate::election::Lost),
}

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(Command::Crd) = options.command {
        let (functions, pools) = (
            sampan_crd::definition_yaml(),
            sampan_crd::pool_definition_yaml(),
        );
        print!("{functions}---\n{pools}");
        return ExitCode::SUCCESS;
    }
    match start(&options.run) {
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

fn start(options: &RunOptions) -> Result<(), Failure> {
    let logs = LogOptions {
        format: match options.log_format {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        },
        filter: options.log_filter.clone(),
        ..LogOptions::default()
    };
    let _logs = logs.init().map_err(Failure::Logs)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(Failure::Runtime)?;
    let result = runtime.block_on(run(options));
    // Remaining tasks must not run on: another operator may hold the Lease now.
    runtime.shutdown_background();
    result
}

async fn run(options: &RunOptions) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Signals)?;
    let config = Config::infer()
        .await
        .map_err(|error| Failure::Config(Box::new(error)))?;
    let host = hostname();
    let plan = options.plan(&config.default_namespace, &host);
    tracing::info!(?plan, cluster = %config.cluster_url, "starting");
    let client = Client::try_from(config).map_err(|error| Failure::Client(Box::new(error)))?;

    let registry = Registry::new();
    let health = Health::not_ready("starting");
    let metrics = Metrics::new(&registry);
    let listener = TcpListener::bind(options.admin)
        .await
        .map_err(|source| Failure::Listen {
            address: options.admin,
            source,
        })?;
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    let admin = tokio::spawn(admin::serve(listener, registry, health.clone(), async {
        // A signal and a dropped sender both end the program.
        let _ = end.await;
    }));
    let stopping = health.clone();
    let result = operate(client, plan, metrics, health, async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stopping.set_not_ready("stopping");
    })
    .await;
    drop(ended);
    if let Err(error) = admin.await {
        tracing::warn!(%error, "the admin server failed");
    }
    result.map_err(Failure::Lost)
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // Distinguishes two operators on one host.
    format!("{}-{}", name.trim(), std::process::id())
}
