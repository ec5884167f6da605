//! `sampan logs`: prints the logs of a function's pods.
//!
//! A pod without logs is noted and does not fail the others.

mod follow;
mod line;

use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use sampan_crd::CONTAINER;

use super::function::ClusterFunction;
use super::serving_pods::ServingPods;
use super::{Cluster, block_on, end, pods};
use crate::arguments::{Logs, Output};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::print_part;
use line::{Line, Lines, Printer};

/// Prints the existing logs, or follows them.
pub(crate) fn logs(arguments: &Logs) -> Result<ExitCode, Failure> {
    let outcome = block_on(async {
        let cluster = Cluster::find(&arguments.cluster).await?;
        // Distinguishes a missing function from one without pods.
        let function = cluster.function(&arguments.name).await?;
        let source = LogSource::new(&function, arguments);
        if arguments.follow {
            return follow::follow(&cluster, arguments, &source).await;
        }
        let mut found = source.pods.list(&cluster).await?;
        pods::by_age(&mut found);
        if found.is_empty() {
            let why = function
                .complaint()
                .map_or_else(String::new, |(reason, message)| {
                    format!(": {reason}: {message}")
                });
            return Err(Failure::new(
                Exit::Absent,
                format!("{} has no pods{why}", function.name),
                "`sampan logs -f` waits for them; `sampan list` shows how the function stands",
            ));
        }
        print_all(&cluster, &found, arguments, &source).await
    });
    // Lines are printed as they arrive, so a failure goes to standard error only.
    end(outcome, Output::Text)
}

/// Where the lines of a function are.
#[derive(Clone, Debug)]
struct LogSource {
    pods: ServingPods,
    container: String,
    /// Only lines about this function are shown: the container has those of others as well.
    only: Option<String>,
}

impl LogSource {
    fn new(function: &ClusterFunction, arguments: &Logs) -> Self {
        let pods = ServingPods::of(function);
        let own = arguments.container == CONTAINER;
        Self {
            container: if own {
                pods.container.to_owned()
            } else {
                arguments.container.clone()
            },
            only: (pods.shared && own).then(|| function.name.clone()),
            pods,
        }
    }

    fn shows(&self, line: &Line) -> bool {
        let only = self.only.as_deref();
        only.is_none_or(|function| line.is_about(function))
    }
}

/// The log request's parameters, except for its start time.
fn parameters(arguments: &Logs, source: &LogSource) -> LogParams {
    LogParams {
        container: Some(source.container.clone()),
        follow: arguments.follow,
        previous: arguments.previous,
        since_seconds: arguments.since.map(seconds),
        tail_lines: arguments.tail.map(i64::from),
        timestamps: true,
        ..LogParams::default()
    }
}

/// Whole seconds, at least one: the API server accepts no others.
fn seconds(time: Duration) -> i64 {
    let seconds = (time.as_secs()).saturating_add(u64::from(time.subsec_nanos() > 0));
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// Why a pod has no logs, if it has none.
fn silence(pod: &Pod, container: &str, previous: bool) -> Option<String> {
    let Some(status) = pods::container(pod, container) else {
        let known = pods::has_container(pod, container);
        return Some(if known {
            "it has not started".to_owned()
        } else {
            format!("it has no container {container}")
        });
    };
    if previous {
        let first = !pods::has_run_before(status);
        return first.then(|| "its container has not been restarted".to_owned());
    }
    if pods::has_run(status) {
        return None;
    }
    Some(pods::waits_for(status).unwrap_or_else(|| "it has not started".to_owned()))
}

async fn print_all(
    cluster: &Cluster,
    found: &[Pod],
    arguments: &Logs,
    source: &LogSource,
) -> Result<(), Failure> {
    let mut printer = Printer::new(arguments, &source.container);
    printer.set_several_pods(found.len() > 1);
    let mut printed = false;
    for pod in found {
        let name = pods::name(pod);
        if let Some(why) = silence(pod, &source.container, arguments.previous) {
            note(name, &why);
            continue;
        }
        printed = true;
        let action = format!("read what {name} printed");
        let api = cluster.pods(&cluster.namespace);
        let parameters = parameters(arguments, source);
        let reader = cluster
            .request(action.clone(), api.log_stream(name, &parameters))
            .await?;
        let mut lines = Lines::new(reader);
        while let Some(line) = lines
            .next()
            .await
            .map_err(|error| broken(&action, &error))?
        {
            if !source.shows(&line) {
                continue;
            }
            if print_part(printer.show(name, &line).as_bytes())? == ControlFlow::Break(()) {
                return Ok(());
            }
        }
    }
    if printed {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Absent,
        format!("{} has printed nothing that can be shown", arguments.name),
        "`sampan list` shows its state; `sampan help logs` lists the other options",
    ))
}

/// Writes a note about a pod to standard error.
fn note(pod: &str, why: &str) {
    let line = crate::sanitize::one_line(&format!("{pod}: nothing to show: {why}"));
    // There is no other output for a failure of this write.
    let _ = writeln!(io::stderr(), "{line}");
}

fn broken(action: &str, error: &io::Error) -> Failure {
    Failure::new(
        Exit::Cluster,
        format!("cannot {action} to the end: {error}"),
        "try again, with --since for what is missing",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::pods::tests::pod;

    #[test]
    fn times_are_whole_seconds() {
        let check = |time, expected| assert_eq!(seconds(time), expected);
        check(Duration::from_millis(1), 1);
        check(Duration::from_secs(90), 90);
        check(Duration::from_millis(1_500), 2);
        check(Duration::MAX, i64::MAX);
    }

    #[test]
    fn a_pod_without_output_has_a_cause() {
        let check = |state, last, container: &str, previous, expected: Option<&str>| {
            let pod = pod("a", false, &state, &last);
            assert_eq!(silence(&pod, container, previous).as_deref(), expected);
        };
        let running = || json!({ "running": {} });
        let ended = || json!({ "terminated": { "exitCode": 1 } });
        check(running(), json!({}), "function", false, None);
        check(ended(), json!({}), "function", false, None);
        check(
            running(),
            json!({}),
            "function",
            true,
            Some("its container has not been restarted"),
        );
        check(running(), ended(), "function", true, None);
        check(
            running(),
            json!({}),
            "other",
            false,
            Some("it has no container other"),
        );
        check(
            running(),
            json!({}),
            "first",
            false,
            Some("it has not started"),
        );
        let waiting = json!({ "waiting": { "reason": "ErrImagePull" } });
        check(waiting, json!({}), "function", false, Some("ErrImagePull"));
    }
}
