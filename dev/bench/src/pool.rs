//! `pool`: measures the pool of functions against a real API server and a real registry.
//!
//! Operator and pool are processes of this machine. There is neither a kubelet nor a proxy of Services, so requests
//! go to the function's port in the pool directly.

mod created;
mod first;
mod memory;
mod server;
mod site;
mod throughput;

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum as _;
use sampan_measure::files::Files;

use crate::arguments::{Pool, PoolMeasure};
use crate::report::{Machine, Report};
use site::Site;

/// Runs the requested measurements.
pub(crate) async fn run(asked: &Pool) -> Result<ExitCode> {
    let files = Files::find()?;
    let site = Site::start(files, asked.modules).await?;
    let mut rows = Vec::new();
    for measure in PoolMeasure::value_variants() {
        if !asked.measures.is_empty() && !asked.measures.contains(measure) {
            continue;
        }
        let value = measure.to_possible_value();
        let name = value.as_ref().map_or("", |value| value.get_name());
        eprintln!("==> {name}");
        rows.extend(match measure {
            PoolMeasure::Memory => memory::measure(asked, &site).await?,
            PoolMeasure::First => first::measure(asked, &site).await?,
            PoolMeasure::Created => created::measure(asked, &site).await?,
            PoolMeasure::Throughput => throughput::measure(asked, &site).await?,
        });
    }
    let report = Report {
        machine: Machine::here(),
        rows,
    };
    print!("{report}");
    report.write(&asked.json)?;
    eprintln!("samples: {}", asked.json.display());
    Ok(ExitCode::SUCCESS)
}
