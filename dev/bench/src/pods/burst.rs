//! Measures many pods at once: the time until all of them answer.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Bench, Contender, Pod};
use crate::report::{Goal, Row, Unit};

/// How long the answers may take once all pods run.
const ALL_ANSWERS_TIMEOUT: Duration = Duration::from_mins(2);
/// The most turns: each takes long, and its figure is a sum over many pods.
const TURNS: usize = 3;

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let mut taken = Contender::ALL.map(|_| Vec::new());
    let turns = bench.asked.repeats.min(TURNS);
    for turn in 1..=turns {
        for (contender, taken) in Contender::ALL.into_iter().zip(&mut taken) {
            taken.push(burst(bench, contender, turn).await?.as_secs_f64() * 1e3);
        }
        eprintln!("  turn {turn} of {turns}");
    }
    let [runc, sampan] = taken;
    let measure = format!("{} pods at once until all answer", bench.asked.burst);
    let ratios = sampan
        .iter()
        .zip(&runc)
        .map(|(ours, theirs)| ours / theirs)
        .collect();
    Ok(vec![
        Row::new(&measure, "runc", Unit::Milliseconds, runc),
        Row::new(&measure, "sampan", Unit::Milliseconds, sampan),
        Row::new(&format!("{measure} / runc"), "sampan", Unit::Ratio, ratios)
            .with_goal(Goal::AtMost(0.5)),
    ])
}

async fn burst(bench: &Bench<'_>, contender: Contender, turn: usize) -> Result<Duration> {
    let names: Vec<String> = (0..bench.asked.burst)
        .map(|number| format!("{}-burst-{turn}-{number}", contender.name()))
        .collect();
    let begun = Instant::now();
    let pods = Pod::run_all(&bench.namespace, contender, &names, &bench.asked.images).await?;
    let mut last = begun;
    for pod in &pods {
        last = last.max(
            bench
                .netns_thread
                .until_ok(pod.address, ALL_ANSWERS_TIMEOUT)
                .await?,
        );
    }
    let taken = last.saturating_duration_since(begun);
    bench.namespace.delete_all(&names).await?;
    Ok(taken)
}
