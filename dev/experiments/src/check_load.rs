//! Compares the load generator with `hey`, the one of the published experiments: the same pod, the
//! same load, in turns.
//!
//! Their medians must agree.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use super::kind::Kind;
use super::load::{End, Target, serial};
use super::manifest::Profile;
use super::measure::Bench;
use super::sample::LoadCheck;
use super::scale::Scale;
use super::summary::{Summary, Turns};

/// A function with long enough answers: `hey` reports times in tenths of milliseconds, and adds
/// about 0.15 ms of its own to each.
const FUNCTION: (&str, &str) = ("linear-equations", "/?unknowns=800");
/// The greatest relative difference of the medians.
const MAX_DIFFERENCE: f64 = 0.05;
/// The count of turns of each.
const TURNS: u32 = 4;

/// Loads a pod by both in turns.
pub(super) async fn compare(bench: &mut Bench, scale: Scale) -> Result<LoadCheck> {
    let functions = &bench.fleet.images.functions;
    let (function, path) = match functions.get(FUNCTION.0) {
        Some(_) => (FUNCTION.0.to_owned(), FUNCTION.1.to_owned()),
        // The run may measure only other functions.
        None => functions
            .iter()
            .next()
            .map(|(name, function)| (name.clone(), function.path()))
            .context("there are no functions")?,
    };
    let (_, pod) = bench
        .fleet
        .one(&function, Kind::Scratch, Profile::Memory)
        .await?;
    let target = pod.target(&path)?;
    let mut check = LoadCheck {
        function,
        ours: Vec::new(),
        hey: Vec::new(),
    };
    let duration = Duration::from_secs(if scale.is_tiny() { 1 } else { 4 });
    for _ in 0..TURNS {
        let asked = target.clone();
        let ours = bench
            .fleet
            .netns_thread
            .run(move || Ok(serial(&asked, End::After(duration))));
        check.ours.extend(ours.await?.times);
        check.hey.extend(hey(bench, &target, duration).await?);
    }
    Ok(check)
}

/// The response times of a load by `hey`, in microseconds.
async fn hey(bench: &Bench, target: &Target, duration: Duration) -> Result<Vec<u64>> {
    let output = Command::new("nsenter")
        .arg(format!("--net={}", bench.cluster.node()?.netns.display()))
        .arg(bench.cluster.tools.join("hey"))
        .args(["-c", "1", "-disable-keepalive"])
        .args(["-z", &format!("{}s", duration.as_secs()), "-o", "csv"])
        .arg(format!("http://{}{}", target.address, target.path))
        .kill_on_drop(true)
        .output()
        .await
        .context("failed to start nsenter")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "hey failed: {}", said.trim());
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// Parses the response times of answers with status 200.
fn parse(csv: &str) -> Result<Vec<u64>> {
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column = |name: &str| {
        let found = names.iter().position(|found| *found == name);
        found.with_context(|| format!("hey wrote no column {name}"))
    };
    let (time, status) = (column("response-time")?, column("status-code")?);
    let mut times = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split(',').collect();
        let field = |index: usize| fields.get(index).context("hey wrote an incomplete line");
        if *field(status)? == "200" {
            let seconds = Duration::from_secs_f64(field(time)?.parse()?);
            times.push(super::load::microseconds(seconds));
        }
    }
    Ok(times)
}

/// The medians of both, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Agreement {
    pub(super) ours: f64,
    pub(super) hey: f64,
}

impl Agreement {
    pub(super) fn of(check: &LoadCheck) -> Self {
        let median = |times: &[u64]| {
            let summary = Summary::of(&Turns::new([times.to_vec()]));
            summary.map_or(f64::NAN, |summary| summary.median)
        };
        Self {
            ours: median(&check.ours),
            hey: median(&check.hey),
        }
    }

    /// The ratio of the generator's median to that of `hey`.
    pub(super) fn ratio(self) -> f64 {
        self.ours / self.hey
    }

    /// Whether the medians agree; false if one has no samples.
    pub(super) fn agrees(self) -> bool {
        (self.ratio() - 1.0).abs() <= MAX_DIFFERENCE
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "median {:.2} ms, hey {:.2} ms: {:.3}x, {}",
            self.ours / 1e3,
            self.hey / 1e3,
            self.ratio(),
            if self.agrees() {
                "within 5 %"
            } else {
                "MORE than 5 % apart"
            }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_hey_are_those_of_its_good_answers() {
        let csv = "response-time,DNS+dialup,status-code,offset\n\
                   0.0105,0.0001,200,0.0010\n0.0500,0.0001,503,0.0100\n0.0095,0.0001,200,0.0200\n";
        assert_eq!(parse(csv).unwrap(), [10_500, 9_500]);
        assert!(parse("Usage: hey\n").is_err());
        assert!(parse("response-time,status-code\n0.1\n").is_err());
    }

    #[test]
    fn medians_agree_within_five_percent() {
        fn check(ours: &[u64], hey: &[u64], expected: bool) {
            let check = LoadCheck {
                function: "aes".to_owned(),
                ours: ours.to_vec(),
                hey: hey.to_vec(),
            };
            assert_eq!(Agreement::of(&check).agrees(), expected, "{check:?}");
        }
        check(&[1040], &[1000], true);
        check(&[960], &[1000], true);
        check(&[1060], &[1000], false);
        check(&[], &[1000], false);
    }
}
