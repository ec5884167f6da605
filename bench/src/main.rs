//! The program `sampan-bench`: measures the programs as their users see them, over HTTP and as processes.
//!
//! Every figure is a ratio of two measurements of one run, taken in turns, because machines differ and are noisy.
//! This crate links none of the other crates.
//!
//! # Behaviours
//!
//! Files are relative to `src`, tests to the crate.
//!
//! - `paper`, the order of its units, and the kept samples: `paper/plan.rs` and `paper/store.rs`, with their tests,
//!   and `cluster_experiments` of the cluster tests.
//! - `paper`, the load, and its comparison with `hey`: `paper/load.rs` and `paper/check_load.rs`, with their tests.
//! - `paper`, the report: `paper/report.rs` and `paper/summary.rs`, with their tests, and `tests/report_page.rs`.
//! - `churn`, the leftovers of pods: `churn/census.rs`, with its tests.

mod arguments;
mod churn;
mod cluster;
mod containerd_log;
mod engine;
mod files;
mod http_client;
mod load;
mod namespace;
mod netns_thread;
mod operator;
mod paper;
mod pods;
mod process;
mod processes;
mod programs;
mod report;
mod soak;
mod statistics;

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
            Command::Paper(paper) => paper::run(paper).await,
            Command::Report(report) => paper::report(&report.folder),
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
