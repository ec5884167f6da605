//! Measures the memory of the pool's process with many idle functions, beyond that of a pool without functions.

use anyhow::Result;
use tokio::time::sleep;

use super::server::{IDLE_TIME, PoolServer, until_all_answer};
use super::site::Site;
use crate::arguments::Pool;
use crate::report::{Goal, Row, Unit};

const NAMESPACE: &str = "memory";
/// The most memory of a pool with all functions, in kibibytes.
const ALL: f64 = 1024.0 * 1024.0;
/// How much more each of many functions may take than each of a tenth of them.
const GROWTH: f64 = 1.2;

pub(super) async fn measure(asked: &Pool, site: &Site) -> Result<Vec<Row>> {
    site.namespace(NAMESPACE).await?;
    let folder = site.folder.path().join(NAMESPACE);
    let pool = PoolServer::start(site, NAMESPACE, &folder).await?;
    let empty = pool.process().proportional_kibibytes()?;
    let mut rows = vec![Row::new(
        "memory of the pool",
        "without functions",
        Unit::Kibibytes,
        vec![empty],
    )];
    let mut each = Vec::new();
    let mut made = 0;
    for count in [asked.functions / 10, asked.functions] {
        eprintln!("  {count} functions");
        site.make(NAMESPACE, made..count).await?;
        let ports = site.ports(NAMESPACE, count).await?;
        until_all_answer(&ports[made..]).await?;
        made = count;
        sleep(IDLE_TIME).await;
        let all = pool.process().proportional_kibibytes()?;
        let share = (all - empty) / f64::from(u32::try_from(count)?);
        each.push(share);
        let measure = format!("memory of the pool with {count} functions at rest");
        rows.push(
            Row::new(&measure, "all", Unit::Kibibytes, vec![all]).with_goal(Goal::AtMost(ALL)),
        );
        rows.push(Row::new(&measure, "each", Unit::Kibibytes, vec![share]));
    }
    pool.end().await?;
    let growth = each[1] / each[0];
    rows.push(
        Row::new(
            "memory of each, of all / of a tenth",
            "pool",
            Unit::Ratio,
            vec![growth],
        )
        .with_goal(Goal::AtMost(GROWTH)),
    );
    Ok(rows)
}
