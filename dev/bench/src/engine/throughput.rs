//! Measures requests a second and latency of a function that does nothing, against a native program
//! that does nothing.

use anyhow::Result;
use sampan_measure::files::Files;

use super::contenders::{Contender, Contenders};
use crate::arguments::Engine;
use crate::load::{Load, Outcome};
use crate::report::{Goal, Row, Unit};

/// The figures of one contender over all turns.
struct Series {
    name: &'static str,
    rate: Vec<f64>,
    median: Vec<f64>,
    processor: Vec<f64>,
}

/// Loads all contenders in turns, with this many connections.
pub(super) async fn measure(asked: &Engine, files: &Files, connections: usize) -> Result<Vec<Row>> {
    let contenders = Contenders::start(files, asked.against.as_deref()).await?;
    let (native, others) = (contenders.native()?, contenders.others()?);
    let all: Vec<&Contender> = std::iter::once(&native).chain(&others).collect();
    let mut series: Vec<Series> = all.iter().map(|one| Series::new(one.name)).collect();
    let load = Load {
        connections,
        seconds: asked.seconds,
    };
    for one in &all {
        Load {
            connections,
            seconds: 1,
        }
        .run(&one.url)
        .await?;
    }
    for turn in 1..=asked.repeats {
        for (one, series) in all.iter().zip(&mut series) {
            let before = one.process.processor_microseconds()?;
            let outcome = load.run(&one.url).await?;
            let used = one.process.processor_microseconds()? - before;
            series.add(&outcome, used);
        }
        eprintln!("  turn {turn} of {}", asked.repeats);
    }
    let measure = format!("hello, c={connections}");
    Ok(rows(&measure, connections == 1, &series))
}

impl Series {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            rate: Vec::new(),
            median: Vec::new(),
            processor: Vec::new(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "fifteen digits are enough")]
    fn add(&mut self, outcome: &Outcome, processor: u64) {
        self.rate.push(outcome.rate());
        self.median.push(outcome.median as f64);
        self.processor
            .push(processor as f64 / outcome.requests as f64);
    }
}

/// The figures of each, and for all except the first the ratio to the first.
fn rows(measure: &str, is_latency: bool, series: &[Series]) -> Vec<Row> {
    let native = &series[0];
    let mut rows = Vec::new();
    for one in series {
        let row = |what: &str, unit, samples: &[f64]| {
            Row::new(
                &format!("{measure}: {what}"),
                one.name,
                unit,
                samples.to_vec(),
            )
        };
        if is_latency {
            rows.push(row("median latency", Unit::Microseconds, &one.median));
        } else {
            rows.push(row("throughput", Unit::RequestsPerSecond, &one.rate));
        }
        rows.push(row(
            "processor a request",
            Unit::Microseconds,
            &one.processor,
        ));
    }
    for one in &series[1..] {
        let (what, samples) = if is_latency {
            ("median latency", ratios(&one.median, &native.median))
        } else {
            ("throughput", ratios(&one.rate, &native.rate))
        };
        let row = Row::new(
            &format!("{measure}: {what} / native"),
            one.name,
            Unit::Ratio,
            samples,
        );
        rows.push(match goal(is_latency, one.name) {
            Some(goal) => row.with_goal(goal),
            None => row,
        });
    }
    rows
}

fn goal(is_latency: bool, name: &str) -> Option<Goal> {
    match (is_latency, name) {
        (false, "fresh instances") => Some(Goal::AtLeast(0.45)),
        (false, "reused instances") => Some(Goal::AtLeast(0.75)),
        (true, "fresh instances") => Some(Goal::AtMost(1.15)),
        _ => None,
    }
}

/// The ratios turn by turn, so that a disturbance of a whole turn cancels out.
pub(super) fn ratios(of: &[f64], to: &[f64]) -> Vec<f64> {
    of.iter().zip(to).map(|(of, to)| of / to).collect()
}
