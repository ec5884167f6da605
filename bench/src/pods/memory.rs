//! The memory of an idle pod: all its processes together, what they share with others divided among those.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, Contender};
use crate::processes;
use crate::report::{Goal, Row, Unit};

/// Pods of each kind at once: what processes share is shared among as many as on a node that is in use.
const PODS: usize = 20;
/// How long a first answer may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// What an idle pod may take, in kibibytes.
const GOAL: f64 = 5.0 * 1024.0;

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for contender in Contender::ALL {
        let names: Vec<String> = (0..PODS)
            .map(|number| format!("{}-idle-{number}", contender.name()))
            .collect();
        let pods = bench
            .namespace
            .run_all(contender, &names, &bench.asked.images)
            .await?;
        for pod in &pods {
            bench.inside.until_ok(pod.address, PATIENCE).await?;
        }
        let mut samples = Vec::new();
        for name in &names {
            samples.push(of_pod(bench, name).await?);
        }
        bench.namespace.delete_all(&names).await?;
        let row = Row::new(
            "memory of an idle pod",
            contender.name(),
            Unit::Kibibytes,
            samples,
        );
        rows.push(match contender {
            Contender::Sampan => row.with_goal(Goal::AtMost(GOAL)),
            Contender::Runc => row,
        });
    }
    Ok(rows)
}

async fn of_pod(bench: &Bench<'_>, name: &str) -> Result<f64> {
    let mut kibibytes = 0.0;
    for process in processes::of_pod(&bench.namespace, name).await? {
        kibibytes += process.proportional_kibibytes()?;
    }
    Ok(kibibytes)
}
