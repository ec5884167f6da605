//! Measures the time from a file's arrival in a watched folder to its first answer: detected,
//! compiled, stored, served.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sampan_measure::files::{Files, distinct, put};
use sampan_measure::http_client::Connection;
use sampan_measure::statistics::percentile;
use tokio::time::sleep;

use super::contenders::HELLO;
use crate::arguments::Engine;
use crate::programs::Sampan;
use crate::report::{Goal, Row, Unit};

/// The count of files in each turn.
const FILES: u64 = 20;

/// How often to request the answer. On average it adds half of itself to each figure.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// The timeout of the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn measure(asked: &Engine, files: &Files) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let functions = folder.path().join("functions");
    fs::create_dir(&functions)?;
    let component = files.component(HELLO)?;
    let data = folder.path().join("data");
    let sampan = Sampan::up(files, &data, std::slice::from_ref(&functions)).await?;
    let mut connection = Connection::open(sampan.server.address).await?;
    let mut samples = Vec::new();
    for turn in 1..=asked.repeats {
        for file in 0..FILES {
            let number = file + FILES * turn as u64;
            let bytes = distinct(&component, number);
            let (name, begun) = (format!("f{number}"), Instant::now());
            put(&functions.join(format!("{name}.wasm")), &bytes)?;
            loop {
                let (answer, _) = connection.get(&format!("/function/{name}/")).await?;
                if answer.status().is_success() {
                    break;
                }
                ensure!(
                    begun.elapsed() < ANSWER_TIMEOUT,
                    "{name} answers {}",
                    answer.status()
                );
                sleep(POLL_INTERVAL).await;
            }
            samples.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        eprintln!("  turn {turn} of {}", asked.repeats);
    }
    let measure = format!(
        "file dropped to first answer, {} KB",
        component.len() / 1000
    );
    let tail = vec![percentile(&samples, 99.0)];
    Ok(vec![
        Row::new(&measure, "each", Unit::Milliseconds, samples),
        Row::new(&measure, "99th percentile", Unit::Milliseconds, tail)
            .with_goal(Goal::AtMost(250.0)),
    ])
}
