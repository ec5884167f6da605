//! `sampan up`: serves functions from files, and follows the files.
//!
//! It puts the parts together and takes them apart again. What is served is the keeper's business, how
//! HTTP is served the runner's.

mod discover;
mod event;
mod keeper;
mod load;
mod look;
mod progress;
mod report;
mod shelf;
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

use discover::Root;
use event::Event;
use keeper::{Keeper, first_look, milliseconds};
use look::View;
use report::{Listener, Reporter};
use shelf::same_names;
use urls::Base;
use watch::Watches;

/// Threads for what blocks: reading files and resolving names. Each keeps memory of its own.
const BLOCKING: usize = 64;

/// Serves until a signal comes.
pub(crate) fn up(arguments: &Up) -> Result<ExitCode, Failure> {
    let format = match arguments.log_format {
        LogFormat::Text => sampan_telemetry::LogFormat::Text,
        LogFormat::Json => sampan_telemetry::LogFormat::Json,
    };
    let logs = LogOptions {
        format,
        ..LogOptions::default()
    };
    // Dropped at the end, which writes what is still buffered.
    let _logs = logs.init().map_err(|error| logs_failure(&error))?;
    let listener = Listener::start(arguments.output)?;
    let outcome = prepare(arguments, listener.reporter());
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
        listener.reporter().tell(error);
    }
    listener.finish();
    outcome
}

/// Everything that can fail before a connection is taken, then the serving.
fn prepare(arguments: &Up, reporter: &Reporter) -> Result<ExitCode, Failure> {
    let data = arguments.data.resolve()?;
    reporter.tell(Event::Starting {
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
    let view = first_look(&roots, watches.as_mut())?;
    check(&view, arguments)?;
    raise_open_files();
    let engine = engine(&data, None)?;
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING)
        .on_thread_park(sampan_runner::on_thread_park)
        .build()
        .map_err(|error| Failure::system("no threads to serve with", &error))?;
    let parts = Parts {
        roots,
        watches,
        view,
        engine,
        reporter: reporter.clone(),
    };
    let outcome = runtime.block_on(serve(arguments, parts));
    // A task that waits for something of the system, such as a name's address, is not waited for.
    runtime.shutdown_background();
    outcome
}

/// What is ready before the first connection.
struct Parts {
    roots: Vec<Root>,
    watches: Option<Watches>,
    view: View,
    engine: Engine,
    reporter: Reporter,
}

async fn serve(arguments: &Up, parts: Parts) -> Result<ExitCode, Failure> {
    let Parts {
        roots,
        watches,
        view,
        engine,
        reporter,
    } = parts;
    let mut signalled = signals::take_over()?;
    let server = Server::bind(ServerConfig {
        drain: arguments.drain,
        ..ServerConfig::new(arguments.listen.clone())
    })
    .map_err(|error| Failure::bind(&error, "--listen"))?;
    let base = Base::of(server.addresses()).ok_or_else(no_address)?;
    let (registry, health) = (Registry::new(), Health::not_ready("loading functions"));
    let metrics = Metrics::register(&registry);
    let (halt, halted) = channel(false);

    let admin = bind_admin(arguments).await?;
    let admin_url = admin.as_ref().and_then(|admin| admin.local_addr().ok());
    let admin = admin
        .map(|admin| tokio::spawn(admin::serve(admin, registry, health.clone(), end(&halted))));
    reporter.tell(Event::Listening {
        url: base.url(),
        addresses: server.addresses().iter().map(ToString::to_string).collect(),
        admin: admin_url.map(|address| format!("http://{address}")),
        watching: watches.is_some(),
    });

    let routes = RouteTable::new(Routes::named([]));
    let dispatch = Dispatch::new(routes.clone(), metrics.clone());
    let serving = tokio::spawn(server.run(dispatch, end(&halted)));
    let keeper = Keeper {
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
            reporter.tell(Event::Stopping { signal: signal.name() });
            Ok(Exit::Success.into())
        }
        failure = keeper.keep(view) => Err(failure),
    };
    health.set_not_ready("shutting down");
    let begun = Instant::now();
    // Both servers wait for it, or have ended.
    let _ = halt.send(true);
    let summary = serving
        .await
        .map_err(|error| Failure::system("the server was broken off", &error))?;
    if let Some(admin) = admin {
        // Its last answer is worth no wait that is longer than the server's own.
        admin.abort();
    }
    if outcome.is_ok() {
        reporter.tell(Event::Stopped {
            connections: summary.connections,
            cut: summary.cut,
            milliseconds: milliseconds(begun.elapsed()),
        });
    }
    outcome
}

/// Ready when everything is to end.
fn end(halted: &Receiver<bool>) -> impl Future<Output = ()> + Send + use<> {
    let mut halted = halted.clone();
    async move {
        // The sender goes only when everything ends.
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

/// What can be known to be wrong before anything is loaded.
fn check(view: &View, arguments: &Up) -> Result<(), Failure> {
    if let Some(failure) = same_names(view) {
        return Err(failure);
    }
    if view.sightings.is_empty() && arguments.no_watch {
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

/// Lets the server hold as many connections as this user may have open files.
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

/// The arguments have a default, so only an empty list of them could lead here.
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
