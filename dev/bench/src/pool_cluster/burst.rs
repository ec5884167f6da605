//! Measures many at once, until all answer: pooled functions, and pods with a container.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::{StreamExt as _, TryStreamExt as _};
use kube::api::DeleteParams;

use super::{ANSWER_TIMEOUT, Bench, ratios};
use crate::pods::{Contender, Pod};
use crate::pooled::{self, PortWatch};
use crate::report::{Row, Unit};

/// The most turns: each takes long, and its figure is a sum over many pods.
const TURNS: usize = 5;
/// How many functions are created at once.
const MAX_CONCURRENT_CREATES: usize = 16;

pub(super) async fn measure(bench: &Bench<'_>, pool: IpAddr) -> Result<Vec<Row>> {
    let [mut pooled, mut runc] = [const { Vec::new() }; 2];
    let turns = bench.asked.repeats.min(TURNS);
    for turn in 1..=turns {
        pooled.push(functions(bench, pool, turn).await?.as_secs_f64() * 1e3);
        runc.push(pods(bench, turn).await?.as_secs_f64() * 1e3);
        eprintln!("  turn {turn} of {turns}");
    }
    let measure = format!("{} at once until all answer", bench.asked.burst);
    Ok(vec![
        ratios(&format!("{measure} / runc"), "pooled", &pooled, &runc),
        Row::new(&measure, "pooled", Unit::Milliseconds, pooled),
        Row::new(&measure, "runc", Unit::Milliseconds, runc),
    ])
}

async fn functions(bench: &Bench<'_>, pool: IpAddr, turn: usize) -> Result<Duration> {
    let (functions, image) = (&bench.functions(), &bench.known_image()?);
    let mut watch = PortWatch::start(functions.clone()).await?;
    let count = bench.asked.burst;
    let names: Vec<String> = (0..count)
        .map(|number| format!("burst-{turn}-{number}"))
        .collect();
    let begun = Instant::now();
    let create = futures_util::stream::iter(names.iter().enumerate())
        .map(|(number, name)| pooled::create(functions, name, number, image))
        .buffer_unordered(MAX_CONCURRENT_CREATES)
        .try_collect::<()>();
    let answer = async {
        let (mut ports, mut last) = (BTreeMap::new(), begun);
        while ports.len() < count {
            let (name, port) = watch.next().await?;
            if !names.contains(&name) || ports.insert(name, port).is_some() {
                continue;
            }
            let address = SocketAddr::new(pool, port);
            last = last.max(bench.netns_thread.until_ok(address, ANSWER_TIMEOUT).await?);
        }
        anyhow::Ok(last)
    };
    let ((), last) = tokio::try_join!(create, answer)?;
    for name in &names {
        functions.delete(name, &DeleteParams::default()).await?;
    }
    Ok(last.saturating_duration_since(begun))
}

async fn pods(bench: &Bench<'_>, turn: usize) -> Result<Duration> {
    let names: Vec<String> = (0..bench.asked.burst)
        .map(|number| format!("runc-burst-{turn}-{number}"))
        .collect();
    let begun = Instant::now();
    let images = &bench.asked.images;
    let pods = Pod::run_all(&bench.namespace, Contender::Runc, &names, images).await?;
    let mut last = begun;
    for pod in &pods {
        let answered = bench.netns_thread.until_ok(pod.address, ANSWER_TIMEOUT);
        last = last.max(answered.await?);
    }
    bench.namespace.delete_all(&names).await?;
    Ok(last.saturating_duration_since(begun))
}
