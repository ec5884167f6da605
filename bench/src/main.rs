//! `sampan-bench`: measures the programs as their users see them, over HTTP and as processes.
//!
//! Every figure is a ratio of two things measured in one run, taken in turns, because machines
//! differ and are noisy. It links none of the other crates, so it does not depend on how they work
//! inside.

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
