//! Measures the first request of functions that were never called, with their modules on disk.

use std::fs;

use anyhow::{Result, ensure};
use sampan_measure::files::{Files, distinct};
use sampan_measure::http_client::Connection;
use sampan_measure::statistics::percentile;

use super::contenders::HELLO;
use crate::arguments::Engine;
use crate::programs::Sampan;
use crate::report::{Goal, Row, Unit};

/// The count of functions; each is called once.
const FUNCTIONS: u64 = 100;

pub(super) async fn measure(asked: &Engine, files: &Files) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let functions = folder.path().join("functions");
    fs::create_dir(&functions)?;
    let component = files.component(HELLO)?;
    for number in 0..FUNCTIONS {
        fs::write(
            functions.join(format!("f{number}.wasm")),
            distinct(&component, number),
        )?;
    }
    let data = folder.path().join("data");
    let paths = [functions];
    // This fills the cache.
    drop(Sampan::up(files, &data, &paths).await?);
    let (mut all, mut tails) = (Vec::new(), Vec::new());
    for turn in 1..=asked.repeats {
        let sampan = Sampan::up(files, &data, &paths).await?;
        let mut connection = Connection::open(sampan.server.address).await?;
        let mut samples = Vec::new();
        for number in 0..FUNCTIONS {
            let (answer, took) = connection.get(&format!("/function/f{number}/")).await?;
            ensure!(
                answer.status().is_success(),
                "f{number} answered {}",
                answer.status()
            );
            samples.push(took.as_secs_f64() * 1e3);
        }
        tails.push(percentile(&samples, 99.0));
        all.extend(samples);
        eprintln!("  turn {turn} of {}", asked.repeats);
    }
    let measure = "first request, module in the cache";
    Ok(vec![
        Row::new(measure, "each", Unit::Milliseconds, all),
        Row::new(measure, "99th percentile", Unit::Milliseconds, tails)
            .with_goal(Goal::AtMost(5.0)),
    ])
}
