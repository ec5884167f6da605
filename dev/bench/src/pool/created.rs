//! Measures the time from the request that creates a resource to the function's first 200. `pool-cluster` compares it
//! with a container's.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::server::{PoolServer, answers};
use super::site::{Site, name_of};
use crate::arguments::Pool;
use crate::pooled::{PortWatch, WAIT_TIMEOUT};
use crate::report::{Row, Unit};

const NAMESPACE: &str = "created";
/// Functions of each kind.
const FUNCTIONS: usize = 20;
/// How often an answer is asked for. On average half of it is in each figure.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

pub(super) async fn measure(asked: &Pool, site: &Site) -> Result<Vec<Row>> {
    site.namespace(NAMESPACE).await?;
    let folder = site.folder.path().join(NAMESPACE);
    let pool = PoolServer::start(site, NAMESPACE, &folder).await?;
    // One function that stays, so that the pool knows the module of all others with it.
    let known = 0;
    create(site, 0, &site.image(known)).await?;
    let (mut new, mut again) = (Vec::new(), Vec::new());
    for turn in 1..=FUNCTIONS {
        let module = asked.modules + turn as u64;
        site.push(module).await?;
        new.push(create(site, turn * 2, &site.image(module)).await?);
        again.push(create(site, turn * 2 + 1, &site.image(known)).await?);
    }
    pool.end().await?;
    let measure = "resource created to first 200";
    Ok(vec![
        Row::new(measure, "module in no cache", Unit::Milliseconds, new),
        Row::new(
            measure,
            "module known to the pool",
            Unit::Milliseconds,
            again,
        ),
    ])
}

/// Creates a function, and returns how many milliseconds later it has answered.
async fn create(site: &Site, number: usize, image: &str) -> Result<f64> {
    let mut watch = PortWatch::start(site.functions(NAMESPACE)).await?;
    let begun = Instant::now();
    site.create(NAMESPACE, number, image).await?;
    let port = watch.port(&name_of(number)).await?;
    while !answers(port).await {
        ensure!(
            begun.elapsed() < WAIT_TIMEOUT,
            "port {port} does not answer"
        );
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}
