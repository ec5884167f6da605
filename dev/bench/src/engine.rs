//! `engine`: compares functions with native programs, and measures their starts and their memory.

mod arrival;
mod contenders;
mod first;
mod idle;
mod processor;
mod throughput;

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum as _;
use sampan_measure::files::Files;

use crate::arguments::{Engine, Measure};
use crate::report::{Row, publish};

/// Runs the requested measurements.
pub(crate) async fn run(asked: &Engine) -> Result<ExitCode> {
    let files = Files::find()?;
    let mut rows = Vec::new();
    for measure in Measure::value_variants() {
        if asked.measures.is_empty() || asked.measures.contains(measure) {
            eprintln!("==> {}", name(*measure));
            rows.extend(measured(*measure, asked, &files).await?);
        }
    }
    publish(rows, &asked.json)?;
    Ok(ExitCode::SUCCESS)
}

async fn measured(measure: Measure, asked: &Engine, files: &Files) -> Result<Vec<Row>> {
    match measure {
        Measure::Throughput => throughput::measure(asked, files, 50).await,
        Measure::Latency => throughput::measure(asked, files, 1).await,
        Measure::Processor => processor::measure(asked, files).await,
        Measure::First => first::measure(asked, files).await,
        Measure::Arrival => arrival::measure(asked, files).await,
        Measure::Idle => idle::measure(asked, files).await,
    }
}

fn name(measure: Measure) -> String {
    let value = measure.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}
