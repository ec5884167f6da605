//! Measures the memory of distinct functions that are loaded and idle, beyond that of a server
//! without functions.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use sampan_measure::files::{Files, distinct};
use sampan_measure::http_client::Connection;
use tokio::time::sleep;

use super::contenders::HELLO;
use crate::arguments::Engine;
use crate::programs::Sampan;
use crate::report::{Goal, Row, Unit};

/// After this time a module without calls has been released.
const IDLE_TIME: Duration = Duration::from_secs(65);

pub(super) async fn measure(asked: &Engine, files: &Files) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let (none, many) = (folder.path().join("none"), folder.path().join("many"));
    for folder in [&none, &many] {
        fs::create_dir(folder)?;
    }
    let component = files.component(HELLO)?;
    for number in 0..asked.idle {
        fs::write(
            many.join(format!("f{number}.wasm")),
            distinct(&component, number as u64),
        )?;
    }
    let data = folder.path().join("data");
    eprintln!("  compiling {} functions", asked.idle);
    let compiled = Sampan::up(files, &data, std::slice::from_ref(&many)).await?;
    eprintln!("  compiled in {:.0} s", compiled.settled_in.as_secs_f64());
    drop(compiled);
    let empty = resident(files, &data, &none, 0, Duration::ZERO).await?;
    let loaded = resident(files, &data, &many, asked.idle, Duration::ZERO).await?;
    let called = resident(files, &data, &many, asked.idle, IDLE_TIME).await?;
    let each = |bytes: u64| kibibytes(bytes.saturating_sub(empty), asked.idle);
    let measure = format!("resident memory of {} idle functions", asked.idle);
    Ok(vec![
        Row::new(
            "resident memory",
            "server without functions",
            Unit::Kibibytes,
            vec![kibibytes(empty, 1)],
        ),
        Row::new(
            &measure,
            "each, just loaded",
            Unit::Kibibytes,
            vec![each(loaded)],
        )
        .with_goal(Goal::AtMost(100.0)),
        Row::new(
            &measure,
            "each, called and at rest",
            Unit::Kibibytes,
            vec![each(called)],
        )
        .with_goal(Goal::AtMost(100.0)),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "fifteen digits are enough")]
fn kibibytes(bytes: u64, share: usize) -> f64 {
    bytes as f64 / 1024.0 / share as f64
}

/// The resident memory of a server of these functions: `rest` after each was called once, or
/// without calls if `rest` is zero.
async fn resident(
    files: &Files,
    data: &Path,
    functions: &Path,
    count: usize,
    rest: Duration,
) -> Result<u64> {
    let sampan = Sampan::up(files, data, &[functions.to_owned()]).await?;
    if rest > Duration::ZERO {
        let mut connection = Connection::open(sampan.server.address).await?;
        for number in 0..count {
            connection.get(&format!("/function/f{number}/")).await?;
        }
        eprintln!("  at rest for {} s", rest.as_secs());
        sleep(rest).await;
    }
    sampan.server.process()?.resident()
}
