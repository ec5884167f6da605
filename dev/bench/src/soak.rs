//! `soak`: sends many requests to all functions, checks every answer, and samples memory and open
//! files.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};
use sampan_measure::files::{FUNCTIONS, Files};
use sampan_measure::http_client::Connection;
use sampan_measure::process::Process;
use tokio::task::JoinSet;

use crate::arguments::Soak;
use crate::programs::{Backends, Sampan};

/// How many samples of memory and open files are taken.
const SAMPLES: u64 = 10;

/// The greatest growth of memory after the first tenth. The reserves of allocators vary by a
/// little.
const MAX_GROWTH: f64 = 1.1;

/// Connections to services that a pool opens or closes between two samples.
const MAX_FILES_GROWTH: usize = 8;

/// A sample of memory and open files.
#[derive(Clone, Copy, Debug)]
struct Sample {
    requests: u64,
    resident: u64,
    open_files: usize,
}

pub(crate) async fn run(asked: &Soak) -> Result<ExitCode> {
    let files = Files::find()?;
    let backends = Backends::start(&files).await?;
    let folder = tempfile::tempdir()?;
    let mut functions = Vec::new();
    for (name, ..) in FUNCTIONS {
        functions.push(backends.redirected(&files, name, folder.path())?);
    }
    let sampan = Sampan::up(&files, &folder.path().join("data"), &functions).await?;
    let process = sampan.server.process()?;
    let (begun, mut samples) = (Instant::now(), Vec::new());
    for tenth in 1..=SAMPLES {
        let goal = asked.requests * tenth / SAMPLES;
        let before = asked.requests * (tenth - 1) / SAMPLES;
        call_all(&sampan, asked.connections, before..goal).await?;
        let sample = Sample::at(process, goal)?;
        println!(
            "{:>9} requests  {:>7.1} s  {:>8} KiB resident  {:>5} open files",
            sample.requests,
            begun.elapsed().as_secs_f64(),
            sample.resident / 1024,
            sample.open_files
        );
        samples.push(sample);
    }
    judge(&samples)?;
    println!("{} requests, no error, nothing grew", asked.requests);
    Ok(ExitCode::SUCCESS)
}

/// Sends the requests with these numbers over this many connections, to all functions in turn.
async fn call_all(
    sampan: &Sampan,
    connections: usize,
    numbers: std::ops::Range<u64>,
) -> Result<()> {
    let next = Arc::new(AtomicU64::new(numbers.start));
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        let (next, address, end) = (Arc::clone(&next), sampan.server.address, numbers.end);
        workers.spawn(async move {
            let mut connection = Connection::open(address).await?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return anyhow::Ok(());
                }
                let index = usize::try_from(number % FUNCTIONS.len() as u64)?;
                call(&mut connection, FUNCTIONS[index]).await?;
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(())
}

async fn call(
    connection: &mut Connection,
    (name, query, expected): (&str, &str, &str),
) -> Result<()> {
    let (answer, _) = connection.get(&format!("/function/{name}{query}")).await?;
    let (status, body) = (answer.status(), answer.body());
    ensure!(
        status.is_success() && !body.is_empty() && body.starts_with(expected.as_bytes()),
        "{name} answered {status}: {}",
        String::from_utf8_lossy(&body[..body.len().min(200)])
    );
    Ok(())
}

impl Sample {
    fn at(process: Process, requests: u64) -> Result<Self> {
        Ok(Self {
            requests,
            resident: process.resident()?,
            open_files: process.open_files()?,
        })
    }
}

/// Compares every later sample with the first.
fn judge(samples: &[Sample]) -> Result<()> {
    let Some((first, later)) = samples.split_first() else {
        return Ok(());
    };
    for sample in later {
        #[expect(clippy::cast_precision_loss, reason = "fifteen digits are enough")]
        let growth = sample.resident as f64 / first.resident as f64;
        ensure!(
            growth <= MAX_GROWTH,
            "memory grew by {:.0} % from {} to {} requests",
            (growth - 1.0) * 100.0,
            first.requests,
            sample.requests
        );
        ensure!(
            sample.open_files <= first.open_files + MAX_FILES_GROWTH,
            "open files grew from {} to {}",
            first.open_files,
            sample.open_files
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_after_the_first_sample_fails() {
        fn check(samples: &[(u64, usize)], expected: bool) {
            let samples: Vec<Sample> = samples
                .iter()
                .map(|&(resident, open_files)| Sample {
                    requests: 1,
                    resident,
                    open_files,
                })
                .collect();
            assert_eq!(judge(&samples).is_ok(), expected, "{samples:?}");
        }
        check(&[(100, 10), (105, 12), (90, 9)], true);
        check(&[(100, 10), (105, 12), (120, 10)], false);
        check(&[(100, 10), (100, 19)], false);
    }
}
