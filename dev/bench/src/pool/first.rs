//! Measures the first request of functions that were never called since the pool's start, with a new connection and
//! with all modules released: each request loads its own, or waits for another that does.

use std::time::Instant;

use anyhow::{Result, ensure};
use sampan_measure::http_client::Connection;
use sampan_measure::statistics::percentile;

use super::server::{IDLE_TIME, PoolServer, address};
use super::site::Site;
use crate::arguments::Pool;
use crate::report::{Goal, Row, Unit};

const NAMESPACE: &str = "first";
/// The most functions that are called.
const CALLED: usize = 2000;
/// The seed of their choice, which is the same in each run.
const SEED: u64 = 1;
/// The greatest time at the 99th percentile, in milliseconds.
const GOAL: f64 = 5.0;

pub(super) async fn measure(asked: &Pool, site: &Site) -> Result<Vec<Row>> {
    site.namespace(NAMESPACE).await?;
    let folder = site.folder.path().join(NAMESPACE);
    let count = asked.functions;
    eprintln!("  {count} functions");
    site.make(NAMESPACE, 0..count).await?;
    let mut ports = site.ports(NAMESPACE, count).await?;
    let pool = PoolServer::start(site, NAMESPACE, &folder).await?;
    tokio::time::sleep(IDLE_TIME).await;
    let mut samples = Vec::new();
    // Any order but that of their numbers, in which modules take turns.
    fastrand::Rng::with_seed(SEED).shuffle(&mut ports);
    for port in ports.iter().take(CALLED) {
        let begun = Instant::now();
        let mut connection = Connection::open(address(*port)).await?;
        let (answer, _) = connection.get("/").await?;
        let taken = begun.elapsed();
        ensure!(
            answer.status().is_success(),
            "port {port} answers {}",
            answer.status()
        );
        samples.push(taken.as_secs_f64() * 1e3);
    }
    pool.end().await?;
    let measure = format!("first request of a function, {count} registered");
    let tail = vec![percentile(&samples, 99.0)];
    Ok(vec![
        Row::new(&measure, "each", Unit::Milliseconds, samples),
        Row::new(&measure, "99th percentile", Unit::Milliseconds, tail)
            .with_goal(Goal::AtMost(GOAL)),
    ])
}
