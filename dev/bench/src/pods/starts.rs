//! Measures how long a pod takes to start.
//!
//! The figures are the CRI calls, with and without the network plugins' time, and the time from
//! being scheduled to the first answer.

use std::time::Duration;

use anyhow::Result;
use sampan_measure::containerd_log::{Calls, Log};

use super::network_time::network_time;
use super::{Bench, Contender, Pod};
use crate::report::{Goal, Row, Unit};

/// How long a first answer may take.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// One pod's start, in milliseconds.
struct Start {
    calls: Calls,
    network: Duration,
    first_answer: Duration,
}

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    // The first pod of each kind pulls its image and compiles.
    for contender in Contender::ALL {
        start(bench, contender, "warm").await?;
    }
    let mut starts = Contender::ALL.map(|_| Vec::new());
    for turn in 1..=bench.asked.repeats {
        for (contender, starts) in Contender::ALL.into_iter().zip(&mut starts) {
            starts.push(start(bench, contender, &turn.to_string()).await?);
        }
        eprintln!("  turn {turn} of {}", bench.asked.repeats);
    }
    let [runc, sampan] = starts;
    let mut rows = Vec::new();
    let mut add = |measure: &str, goal: Option<f64>, of: fn(&Start) -> Duration| {
        let samples = |starts: &[Start]| -> Vec<f64> {
            starts
                .iter()
                .map(|start| of(start).as_secs_f64() * 1e3)
                .collect()
        };
        let (runc, sampan) = (samples(&runc), samples(&sampan));
        let ratios = sampan
            .iter()
            .zip(&runc)
            .map(|(ours, theirs)| ours / theirs)
            .collect();
        rows.push(Row::new(measure, "runc", Unit::Milliseconds, runc));
        rows.push(Row::new(measure, "sampan", Unit::Milliseconds, sampan));
        let ratio = Row::new(&format!("{measure} / runc"), "sampan", Unit::Ratio, ratios);
        rows.push(match goal {
            Some(goal) => ratio.with_goal(Goal::AtMost(goal)),
            None => ratio,
        });
    };
    add("sandbox + create + start", Some(0.45), |start| {
        start.calls.sum()
    });
    add("the same without the network plugin", Some(0.25), |start| {
        start.calls.sum().saturating_sub(start.network)
    });
    add("RunPodSandbox", None, |start| start.calls.sandbox);
    add("CreateContainer", None, |start| start.calls.create);
    add("StartContainer", None, |start| start.calls.start);
    add("scheduled to first answer", None, |start| {
        start.first_answer
    });
    Ok(rows)
}

async fn start(bench: &Bench<'_>, contender: Contender, number: &str) -> Result<Start> {
    let node = bench.cluster.node()?;
    let name = format!("{}-{number}", contender.name());
    let log = Log::from_now(&node.containerd_log)?;
    let network_before = network_time(bench).await?;
    let pod = Pod::run(&bench.namespace, contender, &name, &bench.asked.images).await?;
    let answered = bench
        .netns_thread
        .until_ok(pod.address, FIRST_ANSWER_TIMEOUT)
        .await?;
    let network = network_time(bench).await?.saturating_sub(network_before);
    let calls = log.calls(&name).await?;
    bench.namespace.delete(&name).await?;
    Ok(Start {
        calls,
        network,
        first_answer: answered.saturating_duration_since(pod.scheduled),
    })
}
