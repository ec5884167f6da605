//! Reads the durations of CRI calls from containerd's log.
//!
//! containerd logs a line when a call comes in and one when it is answered, with times in
//! nanoseconds.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::jiff::Timestamp;

/// The durations of the three calls that start a pod with one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls {
    /// `RunPodSandbox`, with the network.
    pub sandbox: Duration,
    /// `CreateContainer`.
    pub create: Duration,
    /// `StartContainer`.
    pub start: Duration,
}

impl Calls {
    /// The sum of all three.
    pub fn sum(self) -> Duration {
        self.sandbox + self.create + self.start
    }
}

/// How long a line may take to be written.
const LOG_TIMEOUT: Duration = Duration::from_mins(1);

/// A log from some point on.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
    begin: u64,
}

impl Log {
    /// The log from now on.
    pub fn from_now(path: &Path) -> Result<Self> {
        let about = path.metadata();
        let about = about.with_context(|| format!("failed to read {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            begin: about.len(),
        })
    }

    /// Reads until all calls of the pod are logged.
    pub async fn calls(&self, pod: &str) -> Result<Calls> {
        let asked = Instant::now();
        let shown = self.path.display();
        loop {
            let mut file =
                File::open(&self.path).with_context(|| format!("failed to open {shown}"))?;
            file.seek(SeekFrom::Start(self.begin))?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            if let Some(calls) = calls(&String::from_utf8_lossy(&text), pod) {
                return Ok(calls);
            }
            if asked.elapsed() > LOG_TIMEOUT {
                bail!("{shown} lacks a call that starts {pod}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The calls for a pod's first container; `None` while one has not been answered.
fn calls(log: &str, pod: &str) -> Option<Calls> {
    // The form depends on how containerd's version prints messages.
    let names = [format!("Name:{pod},"), format!("name:{QUOTE}{pod}{QUOTE}")];
    let sandbox = |line: &&Line<'_>| {
        line.message.starts_with("RunPodSandbox for ")
            && names.iter().any(|name| line.message.contains(name))
    };
    let lines: Vec<Line<'_>> = log.lines().filter_map(Line::parse).collect();
    let begun = lines.iter().find(sandbox)?;
    let answered = lines
        .iter()
        .filter(sandbox)
        .find(|line| line.message.contains(" returns sandbox id "))?;
    let sandbox_id = quoted_after(answered.message, " returns sandbox id ")?;
    let within = format!("CreateContainer within sandbox {QUOTE}{sandbox_id}{QUOTE}");
    let mut creates = lines
        .iter()
        .filter(|line| line.message.starts_with(&within));
    let create_begun = creates.next()?;
    let created = creates.find(|line| line.message.contains(" returns container id "))?;
    let container = quoted_after(created.message, " returns container id ")?;
    let start = format!("StartContainer for {QUOTE}{container}{QUOTE}");
    let mut starts = lines.iter().filter(|line| line.message.starts_with(&start));
    let start_begun = starts.next()?;
    let started = starts.find(|line| line.message.ends_with(" returns successfully"))?;
    Some(Calls {
        sandbox: answered.since(begun)?,
        create: created.since(create_begun)?,
        start: started.since(start_begun)?,
    })
}

/// A quotation mark inside a message, as it is escaped in the log.
const QUOTE: &str = "\\\"";

/// A line of logrus' text format.
struct Line<'a> {
    time: Timestamp,
    message: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (time, rest) = line.strip_prefix("time=\"")?.split_once('"')?;
        let (_, message) = rest.split_once(" msg=\"")?;
        // The message ends at the first quotation mark that is not escaped.
        let end = message
            .match_indices('"')
            .find(|(at, _)| !message[..*at].ends_with('\\'))?
            .0;
        Some(Self {
            time: time.parse().ok()?,
            message: &message[..end],
        })
    }

    fn since(&self, earlier: &Self) -> Option<Duration> {
        self.time.duration_since(earlier.time).try_into().ok()
    }
}

fn quoted_after<'a>(message: &'a str, words: &str) -> Option<&'a str> {
    let (_, rest) = message.split_once(words)?;
    let (name, _) = rest.strip_prefix(QUOTE)?.split_once(QUOTE)?;
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"
time="2026-11-24T10:00:00.100000000Z" level=info msg="RunPodSandbox for &PodSandboxMetadata{Name:hello-1,Uid:u,Namespace:n,Attempt:0,}"
time="2026-11-24T10:00:00.150000000Z" level=info msg="RunPodSandbox for &PodSandboxMetadata{Name:hello-10,Uid:u,Namespace:n,Attempt:0,}"
time="2026-11-24T10:00:00.200000500Z" level=info msg="RunPodSandbox for &PodSandboxMetadata{Name:hello-1,Uid:u,Namespace:n,Attempt:0,} returns sandbox id \"s1\""
time="2026-11-24T10:00:00.300000000Z" level=info msg="CreateContainer within sandbox \"s1\" for container &ContainerMetadata{Name:main,Attempt:0,}"
time="2026-11-24T10:00:00.310000000Z" level=info msg="CreateContainer within sandbox \"s1\" for &ContainerMetadata{Name:main,Attempt:0,} returns container id \"c1\""
time="2026-11-24T10:00:00.400000000Z" level=info msg="StartContainer for \"c1\""
a line of somebody else
time="2026-11-24T10:00:00.425000000Z" level=info msg="StartContainer for \"c1\" returns successfully"
"#;

    #[test]
    fn a_pod_is_found_however_its_name_is_written() {
        let other = LOG.replace(
            "&PodSandboxMetadata{Name:hello-1,Uid:u,Namespace:n,Attempt:0,}",
            r#"name:\"hello-1\"  uid:\"u\"  namespace:\"n\""#,
        );
        assert_ne!(other, LOG);
        assert_eq!(calls(&other, "hello-1"), calls(LOG, "hello-1"));
        assert!(calls(&other, "hello-1").is_some());
    }

    #[test]
    fn each_call_takes_from_its_line_to_the_line_of_its_answer() {
        let expected = Calls {
            sandbox: Duration::from_nanos(100_000_500),
            create: Duration::from_millis(10),
            start: Duration::from_millis(25),
        };
        assert_eq!(calls(LOG, "hello-1"), Some(expected));
    }

    #[test]
    fn a_call_without_its_answer_is_not_made_up() {
        fn check(log: &str, pod: &str) {
            assert_eq!(calls(log, pod), None, "{pod}");
        }
        check(LOG, "hello-10");
        check(LOG, "hello-2");
        check("", "hello-1");
        let cut = LOG.rfind("time=").expect("the log has lines");
        check(&LOG[..cut], "hello-1");
    }
}
