//! `soak`: many requests over all functions, every answer checked, and memory and open files
//! looked at on the way.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use crate::arguments::Soak;
use crate::files::{FUNCTIONS, Files};
use crate::http_client::Connection;
use crate::process::Process;
use crate::programs::{Backends, Sampan};

/// How often memory and open files are looked at.
const LOOKS: u64 = 10;

/// What memory may grow by after the first tenth: what allocators keep back for later varies by
/// a little.
const GROWTH: f64 = 1.1;

/// Connections to services that a pool opens or closes between two looks.
const FILES_GROWTH: usize = 8;

/// Memory and open files at some moment.
#[derive(Clone, Copy, Debug)]
struct Look {
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
    let (begun, mut looks) = (Instant::now(), Vec::new());
    for tenth in 1..=LOOKS {
        let goal = asked.requests * tenth / LOOKS;
        let before = asked.requests * (tenth - 1) / LOOKS;
        call_all(&sampan, asked.connections, before..goal).await?;
        let look = Look::at(process, goal)?;
        println!(
            "{:>9} requests  {:>7.1} s  {:>8} KiB resident  {:>5} open files",
            look.requests,
            begun.elapsed().as_secs_f64(),
            look.resident / 1024,
            look.open_files
        );
        looks.push(look);
    }
    judge(&looks)?;
    println!("{} requests, no error, nothing grew", asked.requests);
    Ok(ExitCode::SUCCESS)
}

/// Sends the requests with these numbers over this many connections, all functions in turn.
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

impl Look {
    fn at(process: Process, requests: u64) -> Result<Self> {
        Ok(Self {
            requests,
            resident: process.resident()?,
            open_files: process.open_files()?,
        })
    }
}

/// Compares every later look with the first.
fn judge(looks: &[Look]) -> Result<()> {
    let Some((first, later)) = looks.split_first() else {
        return Ok(());
    };
    for look in later {
        #[expect(clippy::cast_precision_loss, reason = "fifteen digits are enough")]
        let growth = look.resident as f64 / first.resident as f64;
        ensure!(
            growth <= GROWTH,
            "memory grew by {:.0} % from {} to {} requests",
            (growth - 1.0) * 100.0,
            first.requests,
            look.requests
        );
        ensure!(
            look.open_files <= first.open_files + FILES_GROWTH,
            "open files grew from {} to {}",
            first.open_files,
            look.open_files
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_after_the_first_look_fails() {
        fn check(looks: &[(u64, usize)], expected: bool) {
            let looks: Vec<Look> = looks
                .iter()
                .map(|&(resident, open_files)| Look {
                    requests: 1,
                    resident,
                    open_files,
                })
                .collect();
            assert_eq!(judge(&looks).is_ok(), expected, "{looks:?}");
        }
        check(&[(100, 10), (105, 12), (90, 9)], true);
        check(&[(100, 10), (105, 12), (120, 10)], false);
        check(&[(100, 10), (100, 19)], false);
    }
}
