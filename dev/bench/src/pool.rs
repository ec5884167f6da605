//! `pool`: measures the pool of functions against a real API server and a real registry.
//!
//! Operator and pool are processes of this machine. There is neither a kubelet nor a proxy of Services, so requests
//! go to the function's port in the pool directly.

mod created;
mod first;
mod memory;
mod neighbour;
mod server;
mod site;
mod throughput;

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum as _;
use sampan_measure::files::Files;

use crate::arguments::{Pool, PoolMeasure};
use crate::report::{Row, publish};
use site::Site;

/// Runs the requested measurements.
pub(crate) async fn run(asked: &Pool) -> Result<ExitCode> {
    let files = Files::find()?;
    let mut rows = Vec::new();
    let measured = all(asked, &files, &mut rows).await;
    // No sample is lost, however the measurements end.
    publish(rows, &asked.json)?;
    measured.map(|()| ExitCode::SUCCESS)
}

async fn all(asked: &Pool, files: &Files, rows: &mut Vec<Row>) -> Result<()> {
    for measure in PoolMeasure::value_variants() {
        if !asked.measures.is_empty() && !asked.measures.contains(measure) {
            continue;
        }
        let value = measure.to_possible_value();
        let name = value.as_ref().map_or("", |value| value.get_name());
        eprintln!("==> {name}");
        // One of its own, so that no measurement has the functions of another in its API server.
        let site = Site::start(files.clone(), asked.modules).await?;
        rows.extend(match measure {
            PoolMeasure::Memory => memory::measure(asked, &site).await?,
            PoolMeasure::First => first::measure(asked, &site).await?,
            PoolMeasure::Created => created::measure(asked, &site).await?,
            PoolMeasure::Throughput => throughput::measure(asked, &site).await?,
            PoolMeasure::Neighbour => neighbour::measure(asked, &site).await?,
        });
    }
    Ok(())
}
