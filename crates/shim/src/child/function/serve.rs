//! A function that answers requests: the runner with one function, in the pod's network.

use std::net::SocketAddr;
use std::time::Duration;

use sampan_allocator::release_memory;
use sampan_engine::{LoadedFunction, Prepared};
use sampan_runner::{Deployed, Dispatch, Metrics, RouteTable, Routes, Server, ServerConfig};
use sampan_telemetry::{Health, Registry};
use tokio::runtime;

use super::addresses::{any4, any6, lacks_ipv6};
use super::output::Output;
use super::signals::StopSignals;
use super::{FunctionExecutor, admin};
use crate::child::error::ChildError;

/// The port of a function without `PORT`.
const DEFAULT_PORT: u16 = 8080;

/// Threads that may block at once: name resolution is all they are for.
const BLOCKING: usize = 4;

/// Beyond a request's deadline, for its answer to leave. Work after an answer has the same deadline.
const LEAVING: Duration = Duration::from_secs(1);

/// Serves until a signal to stop; returns the exit code.
pub(super) fn serve(executor: &FunctionExecutor) -> Result<i32, ChildError> {
    let output = Output::new();
    let function = &executor.function;
    let registry = Registry::new();
    let metrics = Metrics::register(&registry);
    let loaded = executor.load(&output, Some(metrics.function(&function.name)))?;
    let port = port(&function.environment)?;
    let runtime = runtime(executor.processors, function.limits.concurrency)
        .map_err(ChildError::system("starting threads to serve with"))?;
    let code = runtime.block_on(async {
        let mut signals = StopSignals::receive(executor.has_terminal)?;
        let drain = function.limits.timeout + LEAVING;
        let server = bind(port, drain)?;
        let health = Health::not_ready("starting");
        if let Some(port) = executor.metrics_port {
            admin::serve(port, registry, health.clone())?;
        }
        // One that cannot be instantiated is not ready, and the first request finds warm what it needs.
        loaded
            .warm_up()
            .await
            .map_err(|source| ChildError::Instance {
                name: function.name.to_string(),
                source,
            })?;
        let warm_up = warm_up(loaded.clone(), executor.warm_up.clone());
        let guests = loaded.guests().clone();
        let deployed = Deployed::new(loaded, &metrics);
        let routes = RouteTable::new(Routes::single(deployed));
        let dispatch = Dispatch::new(routes, metrics, guests);
        let stopping = health.clone();
        let stop = async move {
            signals.next().await;
            stopping.set_not_ready("stopping");
        };
        let serving = tokio::spawn(sampan_runner::serve(server, dispatch, Box::pin(stop)));
        health.set_ready();
        executor.ready()?;
        tokio::spawn(async {
            // What it took to get here, libseccomp's filter above all, is more than what answers take; the warm-up brings in
            // again what those do.
            release_memory();
            warm_up.await;
        });
        let summary = serving.await;
        let ended = summary.map_err(|error| std::io::Error::other(error.to_string()));
        ended.map_err(ChildError::system("serving"))?;
        Ok(0)
    });
    // A thread that waits for a name's address is not waited for.
    runtime.shutdown_background();
    output.flush();
    code
}

/// Has the process answer a request of its own. Start does not wait for it; a pod without it answers its first
/// request more slowly.
async fn warm_up(loaded: LoadedFunction, prepared: Option<Prepared>) {
    let function = prepared.map(|prepared| loaded.load_warm_up(prepared));
    let function = function.transpose().map_err(std::io::Error::other);
    let warmed_up = match function {
        Ok(function) => sampan_runner::warm_up(function).await,
        Err(error) => Err(error),
    };
    if let Err(error) = warmed_up {
        tracing::debug!(%error, "the first request will find the program cold");
    }
}

/// One thread for each processor, but not more than could have something to do.
fn runtime(processors: usize, concurrency: u32) -> std::io::Result<runtime::Runtime> {
    let useful = usize::try_from(concurrency).unwrap_or(usize::MAX);
    let threads = processors.min(useful);
    let mut builder = if threads == 1 {
        runtime::Builder::new_current_thread()
    } else {
        let mut builder = runtime::Builder::new_multi_thread();
        builder.worker_threads(threads);
        builder
    };
    builder
        .enable_all()
        .max_blocking_threads(BLOCKING)
        .on_thread_park(sampan_runner::on_thread_park)
        .build()
}

fn port(environment: &[(String, String)]) -> Result<u16, ChildError> {
    let mut variables = environment.iter().rev();
    let Some((_, value)) = variables.find(|(name, _)| name == "PORT") else {
        return Ok(DEFAULT_PORT);
    };
    match value.parse() {
        Ok(0) | Err(_) => Err(ChildError::Port(value.escape_debug().take(40).collect())),
        Ok(port) => Ok(port),
    }
}

/// Listens with both versions of the protocol, or with IPv4 where there is no IPv6.
fn bind(port: u16, drain: Duration) -> Result<Server, ChildError> {
    let (any6, any4) = (any6(port), any4(port));
    let listen = |addresses: &[SocketAddr]| {
        Server::bind(ServerConfig {
            drain,
            ..ServerConfig::new(addresses.to_vec())
        })
    };
    match listen(&[any6, any4]) {
        Err(error) if error.address == any6 && lacks_ipv6(&error.source) => listen(&[any4]),
        bound => bound,
    }
    .map_err(ChildError::Listen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_the_environments() {
        fn check(variables: &[(&str, &str)], expected: Option<u16>) {
            let environment: Vec<_> = variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            assert_eq!(port(&environment).ok(), expected, "{variables:?}");
        }
        check(&[], Some(8080));
        check(&[("PORT", "80")], Some(80));
        check(&[("PORT", "80"), ("PORT", "81")], Some(81));
        check(&[("PORT", "0")], None);
        check(&[("PORT", "65536")], None);
        check(&[("PORT", "http")], None);
        check(&[("PORT", "")], None);
    }
}
