//! `sampan up`: serves functions from files and reloads changed ones.
//!
//! This module starts and stops the parts. The reloader decides what is served, and the runner
//! serves HTTP.

mod catalog;
mod discover;
mod event;
mod load;
mod progress;
mod reloader;
mod report;
mod scan;
mod signals;
mod text;
mod urls;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sampan_engine::Engine;
use sampan_runner::{BindError, Dispatch, Metrics, RouteTable, Routes, Server, ServerConfig};
use sampan_telemetry::{Health, LogOptions, LogsError, Registry, admin};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::watch::{Receiver, channel};

use crate::arguments::{LogFormat, Up};
use crate::data::engine;
use crate::exit::Exit;
use crate::failure::Failure;

use catalog::duplicate_names;
use discover::Root;
use event::Event;
use reloader::{Reloader, first_scan, milliseconds};
use report::{EventPrinter, Reporter};
use scan::ScanResult;
use urls::BaseUrl;
use watch::Watches;

/// Threads for blocking work: reading files and resolving names. Each keeps memory of its own.
const MAX_BLOCKING_THREADS: usize = 64;

/// Serves until a signal arrives.
pub(crate) fn up(arguments: &Up) -> Result<ExitCode, Failure> {
    let format = match arguments.log_format {
        LogFormat::Text => sampan_telemetry::LogFormat::Text,
        LogFormat::Json => sampan_telemetry::LogFormat::Json,
    };
    let logs = LogOptions {
        format,
        ..LogOptions::default()
    };
    // Dropped at the end, which flushes buffered lines.
    let _logs = logs.init().map_err(|error| logs_failure(&error))?;
    let printer = EventPrinter::start(arguments.output)?;
    let outcome = prepare(arguments, printer.reporter());
    if let Err(Failure {
        message,
        help,
        exit,
    }) = &outcome
    {
        let (message, help) = (message.clone(), help.clone());
        let error = Event::Error {
            message,
            help,
            exit_code: exit.code(),
        };
        printer.reporter().send(error);
    }
    printer.finish();
    outcome
}

/// Runs every step that may fail before a connection is accepted, then serves.
fn prepare(arguments: &Up, reporter: &Reporter) -> Result<ExitCode, Failure> {
    let data = arguments.data.resolve()?;
    reporter.send(Event::Starting {
        version: env!("CARGO_PKG_VERSION"),
        paths: arguments
            .paths
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
        data: data.display().to_string(),
    });
    let roots: Vec<Root> = arguments
        .paths
        .iter()
        .map(|path| Root::of(path))
        .collect::<Result<_, _>>()?;
    let mut watches = if arguments.no_watch {
        None
    } else {
        Some(Watches::start()?)
    };
    let scan = first_scan(&roots, watches.as_mut())?;
    check(&scan, arguments)?;
    raise_open_files();
    let engine = engine(&data, None)?;
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .on_thread_park(sampan_runner::on_thread_park)
        .build()
        .map_err(|error| Failure::system("no threads to serve with", &error))?;
    let parts = Parts {
        roots,
        watches,
        scan,
        engine,
        reporter: reporter.clone(),
    };
    let outcome = runtime.block_on(serve(arguments, parts));
    // Tasks that wait for the system, as for a name's address, are not awaited.
    runtime.shutdown_background();
    outcome
}

/// The parts that exist before the first connection.
struct Parts {
    roots: Vec<Root>,
    watches: Option<Watches>,
    scan: ScanResult,
    engine: Engine,
    reporter: Reporter,
}

async fn serve(arguments: &Up, parts: Parts) -> Result<ExitCode, Failure> {
    let Parts {
        roots,
        watches,
        scan,
        engine,
        reporter,
    } = parts;
    let mut signalled = signals::take_over()?;
    let server = Server::bind(ServerConfig {
        drain: arguments.drain,
        ..ServerConfig::new(arguments.listen.clone())
    })
    .map_err(|error| Failure::bind(&error, "--listen"))?;
    let base = BaseUrl::of(server.addresses()).ok_or_else(no_address)?;
    let (registry, health) = (Registry::new(), Health::not_ready("loading functions"));
    let metrics = Metrics::register(&registry);
    let (halt, halted) = channel(false);

    let admin = bind_admin(arguments).await?;
    let admin_url = admin.as_ref().and_then(|admin| admin.local_addr().ok());
    let admin = admin
        .map(|admin| tokio::spawn(admin::serve(admin, registry, health.clone(), end(&halted))));
    reporter.send(Event::Listening {
        url: base.url(),
        addresses: server.addresses().iter().map(ToString::to_string).collect(),
        admin: admin_url.map(|address| format!("http://{address}")),
        watching: watches.is_some(),
    });

    let routes = RouteTable::new(Routes::named([]));
    let dispatch = Dispatch::new(routes.clone(), metrics.clone(), engine.guests().clone());
    let shutdown = Box::pin(end(&halted));
    let serving = tokio::spawn(sampan_runner::serve(server, dispatch, shutdown));
    let reloader = Reloader {
        roots: Arc::new(roots),
        engine,
        metrics,
        routes,
        health: health.clone(),
        reporter: reporter.clone(),
        base,
        watches,
    };
    let outcome = tokio::select! {
        biased;
        signal = signals::first(&mut signalled) => {
            reporter.send(Event::Stopping { signal: signal.name() });
            Ok(Exit::Success.into())
        }
        failure = reloader.run(scan) => Err(failure),
    };
    health.set_not_ready("shutting down");
    let begun = Instant::now();
    // Both servers wait for it, or have ended.
    let _ = halt.send(true);
    let summary = serving
        .await
        .map_err(|error| Failure::system("the server was broken off", &error))?;
    if let Some(admin) = admin {
        // Its last response is not worth a longer wait than the server's own.
        admin.abort();
    }
    if outcome.is_ok() {
        reporter.send(Event::Stopped {
            connections: summary.connections,
            cut: summary.cut,
            work_cut: summary.work_cut,
            milliseconds: milliseconds(begun.elapsed()),
        });
    }
    outcome
}

/// Ready when all parts must end.
fn end(halted: &Receiver<bool>) -> impl Future<Output = ()> + Send + use<> {
    let mut halted = halted.clone();
    async move {
        // The sender is dropped only when all parts end.
        let _ = halted.wait_for(|halted| *halted).await;
    }
}

async fn bind_admin(arguments: &Up) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = arguments.admin else {
        return Ok(None);
    };
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(source) => Err(Failure::bind(&BindError { address, source }, "--admin")),
    }
}

/// Checks for failures that are known before anything is loaded.
fn check(scan: &ScanResult, arguments: &Up) -> Result<(), Failure> {
    if let Some(failure) = duplicate_names(scan) {
        return Err(failure);
    }
    if scan.snapshots.is_empty() && arguments.no_watch {
        let paths: Vec<String> = arguments
            .paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        return Err(Failure::new(
            Exit::NothingToServe,
            format!("there are no functions in {}", paths.join(", ")),
            "name a .wasm, a function.yaml or a folder of them, or make one with `sampan new`",
        ));
    }
    Ok(())
}

/// Raises the limit of open files to this user's maximum, and so the number of connections.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

fn logs_failure(error: &LogsError) -> Failure {
    match error {
        LogsError::Filter { .. } => Failure::new(
            Exit::Usage,
            format!("RUST_LOG: {}", crate::failure::chain(error)),
            "set it to a level such as info, or unset it",
        ),
        _ => Failure::system("logging cannot be set up", error),
    }
}

/// The arguments have a default, so only an empty list leads here.
fn no_address() -> Failure {
    Failure::new(
        Exit::Usage,
        "there is no address to listen on",
        "give one with --listen",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_filter_that_cannot_be_understood_is_a_mistake_of_usage() {
        let logs = LogOptions {
            filter: Some("a=b=c".to_owned()),
            ..LogOptions::default()
        };
        let error = logs.init().expect_err("it is no filter");
        let failure = logs_failure(&error);
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.message.contains("a=b=c"), "{failure:?}");
    }
}
