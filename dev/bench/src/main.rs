//! The program `sampan-bench`: measures the programs as their users see them, over HTTP and as processes.
//!
//! Every figure is a ratio of two measurements of one run, taken in turns, because machines differ and are noisy.
//! This program links none of the crates that it measures.
//!
//! # Behaviours
//!
//! Files are relative to `src`, tests to the crate.
//!
//! - `paper` and its report: `sampan-experiments`; the report in a browser is tested by `tests/report_page.rs`.
//! - `churn`, the leftovers of pods: `churn/node_snapshot.rs`, with its tests.
//! - `engine`, `pods`, `pool`, `pool-cluster`, `operator` and `soak`: a file and a folder of each.

mod api_server;
mod arguments;
mod churn;
mod engine;
mod kill_on_exit;
mod load;
mod operator;
mod pods;
mod pool;
mod pool_cluster;
mod pooled;
mod programs;
mod report;
mod soak;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let outcome = runtime.block_on(async {
        match &arguments.command {
            Command::Engine(engine) => engine::run(engine).await,
            Command::Soak(soak) => soak::run(soak).await,
            Command::Pods(pods) => pods::run(pods).await,
            Command::Churn(churn) => churn::run(churn).await,
            Command::Paper(paper) => sampan_experiments::run(paper).await,
            Command::Report(report) => sampan_experiments::report(report),
            Command::Pool(pool) => pool::run(pool).await,
            Command::PoolCluster(pool) => pool_cluster::run(pool).await,
            Command::Operator(operator) => operator::run(operator).await,
        }
    });
    match outcome {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
