//! What containerd's log says of how long the calls of the container runtime interface took: it writes a line
//! when one comes in and one when it is answered, with times in nanoseconds.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

/// How long the three calls that start a pod with one container took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Calls {
    /// `RunPodSandbox`, with the network.
    pub(crate) sandbox: Duration,
    /// `CreateContainer`.
    pub(crate) create: Duration,
    /// `StartContainer`.
    pub(crate) start: Duration,
}

impl Calls {
    /// All three.
    pub(crate) fn sum(self) -> Duration {
        self.sandbox + self.create + self.start
    }
}

/// The calls for a pod's first container; `None` while one has not been answered.
pub(crate) fn calls(log: &str, pod: &str) -> Option<Calls> {
    let name = format!("for name:{QUOTE}{pod}{QUOTE}");
    let sandbox = |line: &&Line<'_>| {
        line.message.starts_with("RunPodSandbox for ") && line.message.contains(&name)
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

/// How a quotation mark inside a message stands in the log.
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
time="2026-11-24T10:00:00.100000000Z" level=info msg="RunPodSandbox for name:\"hello-1\"  uid:\"u\"  namespace:\"n\""
time="2026-11-24T10:00:00.150000000Z" level=info msg="RunPodSandbox for name:\"hello-10\" uid:\"u\" namespace:\"n\""
time="2026-11-24T10:00:00.200000500Z" level=info msg="RunPodSandbox for name:\"hello-1\"  uid:\"u\"  namespace:\"n\" returns sandbox id \"s1\""
time="2026-11-24T10:00:00.300000000Z" level=info msg="CreateContainer within sandbox \"s1\" for container name:\"main\""
time="2026-11-24T10:00:00.310000000Z" level=info msg="CreateContainer within sandbox \"s1\" for name:\"main\" returns container id \"c1\""
time="2026-11-24T10:00:00.400000000Z" level=info msg="StartContainer for \"c1\""
a line of somebody else
time="2026-11-24T10:00:00.425000000Z" level=info msg="StartContainer for \"c1\" returns successfully"
"#;

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
