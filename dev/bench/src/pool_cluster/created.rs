//! Measures the time from a created resource to its first 200: of a pooled function, of a Deployment
//! with one container, and of that Deployment when it is scaled from zero.
//!
//! The last is the least that an activator in front of pods takes: it has to scale before it can
//! forward. Requests go to pods directly, so neither a Service nor a proxy has a part in any figure.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use anyhow::Result;
use kube::api::DeleteParams;

use super::deployment::RuncDeployment;
use super::{ANSWER_TIMEOUT, Bench, ratios};
use crate::pooled::{self, PortWatch};
use crate::report::{Row, Unit};

pub(super) async fn measure(bench: &Bench<'_>, pool: IpAddr) -> Result<Vec<Row>> {
    let known_image = bench.known_image()?;
    let [mut unknown, mut known, mut created, mut scaled] = [const { Vec::new() }; 4];
    for turn in 1..=bench.asked.repeats {
        let image = format!("{}/bench/pool-hello-{turn}:1", bench.cluster.registry);
        bench.modules.push(turn as u64, &image).await?;
        let image = bench.cluster.image_in_cluster(&image)?;
        unknown.push(function(bench, pool, &format!("unknown-{turn}"), turn, &image).await?);
        known.push(function(bench, pool, &format!("known-{turn}"), turn, &known_image).await?);
        let [by_creation, by_scale] = deployment(bench, &format!("runc-{turn}")).await?;
        created.push(by_creation);
        scaled.push(by_scale);
        eprintln!("  turn {turn} of {}", bench.asked.repeats);
    }
    let measure = "created to first 200";
    let by_created = "created to first 200 / Deployment created";
    let by_scaled = "created to first 200 / Deployment scaled from 0 to 1";
    let mut rows = Vec::new();
    for (subject, times) in [
        ("pooled, module unknown", &unknown),
        ("pooled, module known", &known),
    ] {
        rows.push(ratios(by_created, subject, times, &created));
        rows.push(ratios(by_scaled, subject, times, &scaled));
    }
    for (measure, subject, times) in [
        (measure, "pooled, module unknown", unknown),
        (measure, "pooled, module known", known),
        (measure, "runc Deployment", created),
        ("scaled from 0 to 1 to first 200", "runc Deployment", scaled),
    ] {
        rows.push(Row::new(measure, subject, Unit::Milliseconds, times));
    }
    Ok(rows)
}

/// Creates a pooled function and deletes it after its first answer, of which it returns the time in
/// milliseconds.
async fn function(
    bench: &Bench<'_>,
    pool: IpAddr,
    name: &str,
    number: usize,
    image: &str,
) -> Result<f64> {
    let functions = bench.functions();
    let mut watch = PortWatch::start(functions.clone()).await?;
    let begun = Instant::now();
    pooled::create(&functions, name, number, image).await?;
    let port = watch.port(name).await?;
    let address = SocketAddr::new(pool, port);
    let answered = bench.netns_thread.until_ok(address, ANSWER_TIMEOUT).await?;
    functions.delete(name, &DeleteParams::default()).await?;
    Ok(milliseconds(begun, answered))
}

/// Creates a Deployment, scales it to zero and back, and removes it. Returns the times to its first
/// answers in milliseconds.
async fn deployment(bench: &Bench<'_>, name: &str) -> Result<[f64; 2]> {
    let image = &bench.asked.images.container_image;
    let mut deployment = RuncDeployment::new(&bench.namespace, name, image).await?;
    let begun = Instant::now();
    deployment.create().await?;
    let address = deployment.running().await?;
    let answered = bench.netns_thread.until_ok(address, ANSWER_TIMEOUT).await?;
    let created = milliseconds(begun, answered);
    deployment.scale(0).await?;
    deployment.gone().await?;
    let begun = Instant::now();
    deployment.scale(1).await?;
    let address = deployment.running().await?;
    let answered = bench.netns_thread.until_ok(address, ANSWER_TIMEOUT).await?;
    let scaled = milliseconds(begun, answered);
    deployment.delete().await?;
    Ok([created, scaled])
}

fn milliseconds(begun: Instant, answered: Instant) -> f64 {
    answered.saturating_duration_since(begun).as_secs_f64() * 1e3
}
