//! `churn`: many pods of each kind come and go; then nothing of them may be left on the node.

mod census;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::arguments::Churn;
use crate::cluster::Cluster;
use crate::inside::Inside;
use crate::namespace::Namespace;
use crate::pods::Contender;
use census::Census;

/// How long a pod may take to answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long nothing of what pods used may go before it passes for left behind.
const LEFT: Duration = Duration::from_mins(3);

/// Starts and stops pods of both kinds, and counts what is left.
pub(crate) async fn run(asked: &Churn) -> Result<ExitCode> {
    let cluster = Cluster::find()?;
    let node = cluster.node()?;
    let inside = Inside::enter(&node.netns)?;
    let namespace = Namespace::create(cluster.client().await?, "bench-churn").await?;
    let outcome = churn(asked, &cluster, &namespace, &inside).await;
    namespace.remove().await?;
    Ok(if outcome? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Whether nothing was left of either kind.
async fn churn(
    asked: &Churn,
    cluster: &Cluster,
    namespace: &Namespace,
    inside: &Inside,
) -> Result<bool> {
    let mut is_clean = true;
    // The first pod of a node, and of a kind, makes what stays for all: groups above the pods, the cache of modules.
    for contender in Contender::ALL {
        let names = [format!("{}-first", contender.name())];
        let pods = namespace.run_all(contender, &names, &asked.images).await?;
        inside.until_ok(pods[0].address, PATIENCE).await?;
        namespace.delete_all(&names).await?;
    }
    for contender in Contender::ALL {
        let before = Census::take(cluster.node()?)?;
        let begun = Instant::now();
        let mut done = 0;
        while done < asked.pods {
            let count = asked.batch.min(asked.pods - done);
            let names: Vec<String> = (done..done + count)
                .map(|number| format!("{}-{number}", contender.name()))
                .collect();
            let pods = namespace.run_all(contender, &names, &asked.images).await?;
            for pod in &pods {
                inside.until_ok(pod.address, PATIENCE).await?;
            }
            namespace.delete_all(&names).await?;
            done += count;
            eprintln!("  {}: {done} of {}", contender.name(), asked.pods);
        }
        let taken = begun.elapsed();
        let left = before.left(cluster.node()?, LEFT).await?;
        #[expect(clippy::cast_precision_loss, reason = "a count of pods")]
        let rate = asked.pods as f64 / taken.as_secs_f64();
        println!(
            "{}: {} pods in {:.0} s, {rate:.1}/s, left behind: {left}",
            contender.name(),
            asked.pods,
            taken.as_secs_f64()
        );
        is_clean &= left.is_empty();
    }
    Ok(is_clean)
}
