//! Measures the processor time a request of each of the nine functions, against a native program of
//! the same source.

use anyhow::Result;
use sampan_measure::files::{FUNCTIONS, Files};
use sampan_measure::process::Process;
use sampan_measure::statistics::geometric_mean;

use super::throughput::ratios;
use crate::arguments::Engine;
use crate::load::Load;
use crate::programs::{Backends, Sampan, Server};
use crate::report::{Goal, Row, Unit};

/// Requests in progress: enough to keep both processors busy.
const CONNECTIONS: usize = 4;

/// A function in both forms.
struct Pair {
    name: &'static str,
    native: Server,
    native_url: String,
    wasm_url: String,
    native_samples: Vec<f64>,
    wasm_samples: Vec<f64>,
}

pub(super) async fn measure(asked: &Engine, files: &Files) -> Result<Vec<Row>> {
    let backends = Backends::start(files).await?;
    let folder = tempfile::tempdir()?;
    let mut functions = Vec::new();
    for (name, ..) in FUNCTIONS {
        functions.push(backends.redirected(files, name, folder.path())?);
    }
    let sampan = Sampan::up(files, &folder.path().join("data"), &functions).await?;
    let wasm = sampan.server.process()?;
    let environment = backends.environment();
    let mut pairs = Vec::new();
    for (name, query, _) in FUNCTIONS {
        let native = Server::native(files, name, &environment).await?;
        pairs.push(Pair {
            name,
            native_url: native.url(query),
            wasm_url: sampan.server.url(&format!("/function/{name}{query}")),
            native,
            native_samples: Vec::new(),
            wasm_samples: Vec::new(),
        });
    }
    for turn in 1..=asked.repeats {
        for pair in &mut pairs {
            let native = pair.native.process()?;
            pair.native_samples
                .push(used(native, &pair.native_url, asked.seconds).await?);
            pair.wasm_samples
                .push(used(wasm, &pair.wasm_url, asked.seconds).await?);
        }
        eprintln!("  turn {turn} of {}", asked.repeats);
    }
    Ok(rows(&pairs))
}

/// The microseconds of processor time a request.
#[expect(clippy::cast_precision_loss, reason = "fifteen digits are enough")]
async fn used(process: Process, url: &str, seconds: u64) -> Result<f64> {
    let before = process.processor_microseconds()?;
    let load = Load {
        connections: CONNECTIONS,
        seconds,
    };
    let outcome = load.run(url).await?;
    let used = process.processor_microseconds()? - before;
    Ok(used as f64 / outcome.requests as f64)
}

fn rows(pairs: &[Pair]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut all = Vec::new();
    for pair in pairs {
        let measure = "processor a request";
        let native = pair.native_samples.clone();
        let wasm = pair.wasm_samples.clone();
        rows.push(Row::new(
            measure,
            &format!("{}, native", pair.name),
            Unit::Microseconds,
            native,
        ));
        rows.push(Row::new(
            measure,
            &format!("{}, wasm", pair.name),
            Unit::Microseconds,
            wasm,
        ));
    }
    for pair in pairs {
        let ratios = ratios(&pair.wasm_samples, &pair.native_samples);
        all.push(ratios.clone());
        let most = if pair.name == "aes" { 3.0 } else { 1.3 };
        rows.push(
            Row::new(
                "processor a request / native",
                pair.name,
                Unit::Ratio,
                ratios,
            )
            .with_goal(Goal::AtMost(most)),
        );
    }
    let turns = all.first().map_or(0, Vec::len);
    let means = (0..turns).map(|turn| {
        let ratios: Vec<f64> = all.iter().map(|ratios| ratios[turn]).collect();
        geometric_mean(&ratios)
    });
    rows.push(
        Row::new(
            "processor a request / native",
            "geometric mean",
            Unit::Ratio,
            means.collect(),
        )
        .with_goal(Goal::AtMost(1.15)),
    );
    rows
}
