//! Measures the memory of an idle pod: all of its processes together, with shared memory divided
//! among its users.

use std::time::Duration;

use anyhow::Result;
use sampan_measure::processes;

use super::{Bench, Contender, Pod};
use crate::report::{Goal, Row, Unit};

/// Pods of each kind at once, so that memory is shared among as many processes as on a node in use.
const PODS: usize = 20;
/// How long a first answer may take.
const FIRST_ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// The greatest memory of an idle pod, in kibibytes.
const GOAL: f64 = 5.0 * 1024.0;

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for contender in Contender::ALL {
        let names: Vec<String> = (0..PODS)
            .map(|number| format!("{}-idle-{number}", contender.name()))
            .collect();
        let pods = Pod::run_all(&bench.namespace, contender, &names, &bench.asked.images).await?;
        for pod in &pods {
            bench
                .netns_thread
                .until_ok(pod.address, FIRST_ANSWER_TIMEOUT)
                .await?;
        }
        let mut samples = Vec::new();
        for name in &names {
            samples.push(processes::kibibytes_of_pod(&bench.namespace, name).await?);
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
