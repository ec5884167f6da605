//! Reads how long containerd has waited for the network plugins so far, from its metrics.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Bench;

/// The sum of containerd's timer, in seconds.
const SUM: &str = "containerd_cri_sandbox_create_network_seconds_sum ";

/// The total time so far in which pods' networks were set up.
pub(crate) async fn network_time(bench: &Bench<'_>) -> Result<Duration> {
    let address = bench.cluster.node()?.containerd_metrics;
    let (status, text) = bench.netns_thread.get(address, "/v1/metrics").await?;
    anyhow::ensure!(status == 200, "containerd's metrics answer {status}");
    parse(&text).context("containerd's metrics have no time of the network")
}

fn parse(text: &str) -> Option<Duration> {
    let value = text.lines().find_map(|line| line.strip_prefix(SUM))?;
    Duration::try_from_secs_f64(value.trim().parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_taken_and_nothing_else() {
        fn check(text: &str, expected: Option<f64>) {
            assert_eq!(parse(text), expected.map(Duration::from_secs_f64), "{text}");
        }
        let name = SUM.trim();
        check(
            &format!("# HELP {name}\n{name} 0.25\n{name}x 9\n"),
            Some(0.25),
        );
        check(&format!("{name} abc\n"), None);
        check("", None);
    }
}
