//! Generates load with `wrk`, which uses little of the processors that it shares with the measured
//! program.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

/// Makes `wrk` print its result as JSON, with latencies in microseconds.
const SCRIPT: &str = r#"
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"microseconds":%d,"failed":%d,"median":%d,"p99":%d}\n',
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"#;

/// The parameters of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) connections: usize,
    pub(crate) seconds: u64,
}

/// The result of a load.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    /// The duration of the load.
    pub(crate) microseconds: u64,
    failed: u64,
    /// The median latency in microseconds.
    pub(crate) median: u64,
    /// The 99th percentile of the latencies in microseconds.
    pub(crate) p99: u64,
}

impl Load {
    /// Loads a URL over kept connections. Fails when one request does.
    pub(crate) async fn run(self, url: &str) -> Result<Outcome> {
        self.run_by(Command::new("wrk"), url).await
    }

    /// The same from inside a network namespace.
    pub(crate) async fn run_within(self, netns: &Path, url: &str) -> Result<Outcome> {
        let mut wrk = Command::new("nsenter");
        wrk.arg(format!("--net={}", netns.display()))
            .args(["--", "wrk"]);
        self.run_by(wrk, url).await
    }

    async fn run_by(self, mut wrk: Command, url: &str) -> Result<Outcome> {
        let mut script = tempfile::Builder::new().suffix(".lua").tempfile()?;
        script.write_all(SCRIPT.as_bytes())?;
        let threads = self.connections.min(2).to_string();
        let output = wrk
            .args(["--threads", &threads])
            .args(["--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{}s", self.seconds)])
            .args(["--timeout", "60s", "--script"])
            .arg(script.path())
            .arg(url)
            .stderr(Stdio::inherit())
            .output()
            .await
            .context("failed to start wrk; install it: apt-get install wrk")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let Some(result) = said.lines().find_map(|line| line.strip_prefix("RESULT ")) else {
            bail!("wrk printed no result for {url}: {said}");
        };
        let outcome: Outcome =
            serde_json::from_str(result).with_context(|| format!("wrk's result is {result}"))?;
        if outcome.failed > 0 || outcome.requests == 0 {
            bail!(
                "{} of {} requests to {url} failed",
                outcome.failed,
                outcome.requests
            );
        }
        Ok(outcome)
    }
}

impl Outcome {
    /// Requests a second.
    #[expect(clippy::cast_precision_loss, reason = "fifteen digits are enough")]
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 * 1e6 / self.microseconds as f64
    }
}
