//! Measures the requests of eight quiet functions while a ninth of the same pool takes all that it may.

use std::time::Duration;

use anyhow::{Result, ensure};
use sampan_measure::http_client::Connection;
use sampan_measure::statistics::percentile;
use tokio::time::{Instant, sleep, sleep_until};

use super::server::{PoolServer, address, until_all_answer};
use super::site::Site;
use crate::arguments::Pool;
use crate::load::Load;
use crate::report::{Row, Unit};

const NAMESPACE: &str = "neighbour";
/// The quiet functions.
const QUIET: usize = 8;
/// The busy function, which only computes, and its request of some ten milliseconds.
const BUSY: (&str, &str) = ("linear-equations", "/?unknowns=512");
/// The connections to the busy function: as many requests as a function may serve at once.
const CONNECTIONS: usize = 100;
/// The time between two requests to quiet functions, which take turns.
const INTERVAL: Duration = Duration::from_millis(5);
/// How long the busy function has requests before those to the quiet ones, and after them.
const MARGIN: Duration = Duration::from_secs(1);

pub(super) async fn measure(asked: &Pool, site: &Site) -> Result<Vec<Row>> {
    site.namespace(NAMESPACE).await?;
    site.make(NAMESPACE, 0..QUIET).await?;
    let image = format!("{}/bench/busy:1", site.registry);
    let file = site.files.function(BUSY.0).join(format!("{}.wasm", BUSY.0));
    site.modules.push_file(&file, &image).await?;
    site.create(NAMESPACE, QUIET, &image).await?;
    let ports = site.ports(NAMESPACE, QUIET + 1).await?;
    let folder = site.folder.path().join(NAMESPACE);
    let pool = PoolServer::start(site, NAMESPACE, &folder).await?;
    until_all_answer(&ports).await?;
    let (quiet, busy) = ports.split_at(QUIET);
    let url = format!("http://{}{}", address(busy[0]), BUSY.1);
    let load = Load {
        connections: CONNECTIONS,
        seconds: asked.seconds + 2 * MARGIN.as_secs(),
    };
    let (mut alone, mut beside, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 1..=asked.repeats {
        alone.push(requests(quiet, asked.seconds).await?);
        let during = async {
            sleep(MARGIN).await;
            requests(quiet, asked.seconds).await
        };
        let (outcome, times) = tokio::try_join!(load.run(&url), during)?;
        rates.push(outcome.rate());
        beside.push(times);
        eprintln!("  turn {turn} of {}", asked.repeats);
    }
    pool.end().await?;
    let mut rows = Vec::new();
    for percent in [50.0, 99.0] {
        let of = |turns: &[Vec<f64>]| -> Vec<f64> {
            turns.iter().map(|turn| percentile(turn, percent)).collect()
        };
        let (alone, beside) = (of(&alone), of(&beside));
        let ratios = beside
            .iter()
            .zip(&alone)
            .map(|(with, without)| with / without);
        let measure = format!("{QUIET} quiet functions: p{percent:.0}");
        let ratio = format!("{measure} / alone");
        let ratio = Row::new(&ratio, "beside a busy one", Unit::Ratio, ratios.collect());
        rows.push(Row::new(&measure, "alone", Unit::Milliseconds, alone));
        rows.push(Row::new(
            &measure,
            "beside a busy one",
            Unit::Milliseconds,
            beside,
        ));
        rows.push(ratio);
    }
    let measure = format!("the busy function, c={CONNECTIONS}: throughput");
    rows.push(Row::new(&measure, BUSY.0, Unit::RequestsPerSecond, rates));
    Ok(rows)
}

/// The times in milliseconds of requests at fixed times, over kept connections. A request that waits
/// for the answer to the previous one counts from when it was due.
async fn requests(ports: &[u16], seconds: u64) -> Result<Vec<f64>> {
    let mut connections = Vec::new();
    for port in ports {
        connections.push(Connection::open(address(*port)).await?);
    }
    let begun = Instant::now();
    let mut due = begun;
    let mut times = Vec::new();
    while due.duration_since(begun) < Duration::from_secs(seconds) {
        let from = if Instant::now() < due {
            sleep_until(due).await;
            // The timer's own delay is not the function's.
            Instant::now()
        } else {
            due
        };
        let next = times.len() % connections.len();
        let (answer, _) = connections[next].get("/").await?;
        ensure!(
            answer.status().is_success(),
            "port {} answers {}",
            ports[next],
            answer.status()
        );
        times.push(from.elapsed().as_secs_f64() * 1e3);
        due += INTERVAL;
    }
    Ok(times)
}
