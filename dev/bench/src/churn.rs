//! `churn`: starts and stops many pods of each kind, and checks that nothing of them stays on the
//! node.

mod node_snapshot;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use sampan_measure::cluster::Cluster;
use sampan_measure::namespace::Namespace;
use sampan_measure::netns_thread::NetnsThread;

use crate::arguments::Churn;
use crate::pods::{Contender, Pod};
use node_snapshot::NodeSnapshot;

/// How long a pod may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// How long nothing of the pods may disappear before the rest counts as left behind.
const LEFTOVER_TIMEOUT: Duration = Duration::from_mins(3);

/// Starts and stops pods of both kinds, and counts what is left.
pub(crate) async fn run(asked: &Churn) -> Result<ExitCode> {
    let cluster = Cluster::find()?;
    let node = cluster.node()?;
    let netns_thread = NetnsThread::enter(&node.netns)?;
    let namespace = Namespace::create(cluster.client().await?, "bench-churn").await?;
    let outcome = churn(asked, &cluster, &namespace, &netns_thread).await;
    namespace.remove().await?;
    Ok(if outcome? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Whether nothing of either kind is left.
async fn churn(
    asked: &Churn,
    cluster: &Cluster,
    namespace: &Namespace,
    netns_thread: &NetnsThread,
) -> Result<bool> {
    let mut is_clean = true;
    // The first pod of a node and of a kind makes what all pods share: groups above the pods, the
    // cache of modules.
    for contender in Contender::ALL {
        let names = [format!("{}-first", contender.name())];
        let pods = Pod::run_all(namespace, contender, &names, &asked.images).await?;
        netns_thread
            .until_ok(pods[0].address, ANSWER_TIMEOUT)
            .await?;
        namespace.delete_all(&names).await?;
    }
    for contender in Contender::ALL {
        let before = NodeSnapshot::take(cluster.node()?)?;
        let begun = Instant::now();
        let mut done = 0;
        while done < asked.pods {
            let count = asked.batch.min(asked.pods - done);
            let names: Vec<String> = (done..done + count)
                .map(|number| format!("{}-{number}", contender.name()))
                .collect();
            let pods = Pod::run_all(namespace, contender, &names, &asked.images).await?;
            for pod in &pods {
                netns_thread.until_ok(pod.address, ANSWER_TIMEOUT).await?;
            }
            namespace.delete_all(&names).await?;
            done += count;
            eprintln!("  {}: {done} of {}", contender.name(), asked.pods);
        }
        let taken = begun.elapsed();
        let left = before.leftovers(cluster.node()?, LEFTOVER_TIMEOUT).await?;
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
