//! Follows the logs of existing and new pods, and of restarted containers.
//!
//! Each instance of a container has a task that reads its stream. One loop starts the tasks and
//! prints. A broken stream resumes where it was. The channel between readers and loop is bounded,
//! so that readers do not run ahead of the terminal.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::time::Duration;

use futures_util::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Error;
use kube::api::LogParams;
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::line::{Line, Lines, Printer};
use super::{Cluster, LogSource, parameters};
use crate::arguments::Logs;
use crate::cluster::pods;
use crate::cluster::watch::{WatchFailure, classify};
use crate::failure::Failure;
use crate::output::print_part;

/// The most lines that wait to be printed.
const MAX_QUEUED_LINES: usize = 256;

/// The pause before a broken stream is resumed.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// A message of a reader.
enum ReaderMessage {
    Line(String, Line),
    Failed(Failure),
}

/// Follows until standard output is closed.
pub(super) async fn follow(
    cluster: &Cluster,
    arguments: &Logs,
    source: &LogSource,
) -> Result<(), Failure> {
    let (sender, mut receiver) = mpsc::channel(MAX_QUEUED_LINES);
    let api = cluster.pods(&cluster.namespace);
    let watch = watcher(api, Config::default().labels(&source.pods.selector)).default_backoff();
    pin_mut!(watch);
    let mut printer = Printer::new(arguments, &source.container);
    let mut instances = Instances::default();
    let mut names = HashSet::new();
    loop {
        tokio::select! {
            event = watch.next() => match event {
                Some(Ok(event)) => {
                    if let Some((pod, first)) = instances.take(event, &source.container) {
                        let name = pods::name(&pod).to_owned();
                        names.insert(name.clone());
                        printer.set_several_pods(names.len() > 1);
                        let parameters = if first {
                            parameters(arguments, source)
                        } else {
                            // Later pods are read from their beginning.
                            LogParams { tail_lines: None, since_seconds: None, ..parameters(arguments, source) }
                        };
                        let reader = Reader {
                            cluster: cluster.clone(),
                            source: source.clone(),
                            pod: name,
                            instance: instance(&pod, &source.container),
                            parameters,
                        };
                        tokio::spawn(reader.run(sender.clone()));
                    }
                }
                Some(Err(error)) => {
                    if classify(&error) == WatchFailure::Permanent {
                        let action = format!("follow the pods of {}", arguments.name);
                        return Err(Failure::watch(&error, &cluster.request_context(action)));
                    }
                }
                None => return Ok(()),
            },
            message = receiver.recv() => match message {
                Some(ReaderMessage::Line(pod, line)) => {
                    if print_part(printer.show(&pod, &line).as_bytes())? == ControlFlow::Break(()) {
                        return Ok(());
                    }
                }
                Some(ReaderMessage::Failed(failure)) => return Err(failure),
                // The loop holds a sender itself.
                None => return Ok(()),
            },
        }
    }
}

/// The identifier of a container's current instance, if it has logs.
fn instance(pod: &Pod, container: &str) -> Option<String> {
    let status = pods::container(pod, container)?;
    let state = status.state.as_ref()?;
    let started = state.running.is_some() || state.terminated.is_some();
    status.container_id.clone().filter(|_| started)
}

/// The instances of containers that are or were read.
#[derive(Debug, Default)]
struct Instances {
    known: HashSet<String>,
    /// Whether the first list of pods is complete.
    settled: bool,
}

impl Instances {
    /// Returns a pod with a new instance, and whether the pod was in the first list.
    fn take(&mut self, event: Event<Pod>, container: &str) -> Option<(Pod, bool)> {
        let pod = match event {
            Event::InitApply(pod) | Event::Apply(pod) => pod,
            Event::InitDone => {
                self.settled = true;
                return None;
            }
            Event::Init | Event::Delete(_) => return None,
        };
        let instance = instance(&pod, container)?;
        self.known.insert(instance).then_some((pod, !self.settled))
    }
}

/// Reads the logs of one instance of a container.
struct Reader {
    cluster: Cluster,
    source: LogSource,
    pod: String,
    instance: Option<String>,
    parameters: LogParams,
}

impl Reader {
    async fn run(mut self, sender: mpsc::Sender<ReaderMessage>) {
        let mut last: Option<Timestamp> = None;
        loop {
            let api = self.cluster.pods(&self.cluster.namespace);
            match api.log_stream(&self.pod, &self.parameters).await {
                Ok(stream) => {
                    let mut lines = Lines::new(stream);
                    // A broken stream looks like one that ends; the pod's status distinguishes
                    // them.
                    while let Ok(Some(line)) = lines.next().await {
                        if is_duplicate(&line, last) {
                            continue;
                        }
                        last = line.time.or(last);
                        if !self.source.shows(&line) {
                            continue;
                        }
                        if sender
                            .send(ReaderMessage::Line(self.pod.clone(), line))
                            .await
                            .is_err()
                        {
                            return;
                        }
                    }
                }
                // The pod or its container is gone.
                Err(Error::Api(status)) if [400, 404].contains(&status.code) => return,
                Err(Error::Api(status)) if status.code < 429 => {
                    let action = format!("read what {} prints", self.pod);
                    let context = self.cluster.request_context(action);
                    let failure = Failure::cluster(&Error::Api(status), &context);
                    // The receiver is gone only when the program ends.
                    let _ = sender.send(ReaderMessage::Failed(failure)).await;
                    return;
                }
                Err(_) => {}
            }
            sleep(RECONNECT_PAUSE).await;
            if !self.is_running().await {
                return;
            }
            resume(&mut self.parameters, last);
        }
    }

    /// Whether the same instance still runs. Also true when the cluster cannot be reached, to try
    /// again.
    async fn is_running(&self) -> bool {
        let Ok(found) = self.source.pods.list(&self.cluster).await else {
            return true;
        };
        let container = self.parameters.container.as_deref().unwrap_or_default();
        let same =
            |pod: &&Pod| pods::name(pod) == self.pod && instance(pod, container) == self.instance;
        let running = |pod: &Pod| {
            let status = pods::container(pod, container);
            let state = status.and_then(|status| status.state.as_ref());
            state.is_some_and(|state| state.running.is_some())
        };
        found.iter().find(same).is_some_and(running)
    }
}

/// Resumes after the last line. The API server counts whole seconds, and the client rounds.
fn resume(parameters: &mut LogParams, last: Option<Timestamp>) {
    let Some(last) = last else {
        return;
    };
    parameters.tail_lines = None;
    parameters.since_seconds = None;
    parameters.since_time = last.checked_sub(SignedDuration::from_secs(1)).ok();
}

/// Whether a line was already printed before the stream broke.
fn is_duplicate(line: &Line, last: Option<Timestamp>) -> bool {
    match (line.time, last) {
        (Some(time), Some(last)) => time <= last,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::pods::tests::pod;

    fn running(name: &str) -> Pod {
        pod(name, true, &json!({ "running": {} }), &json!({}))
    }

    #[test]
    fn each_instance_is_read_once_and_knows_whether_it_was_first() {
        let mut instances = Instances::default();
        let mut check = |event: Event<Pod>, expected: Option<(&str, bool)>| {
            let taken = instances.take(event, "function");
            let taken = taken.as_ref().map(|(pod, first)| (pods::name(pod), *first));
            assert_eq!(taken, expected);
        };
        let starting = |name: &str| {
            let waiting: Value = json!({ "waiting": { "reason": "ContainerCreating" } });
            pod(name, false, &waiting, &json!({}))
        };
        check(Event::Init, None);
        check(Event::InitApply(running("a")), Some(("a", true)));
        check(Event::InitApply(starting("b")), None);
        check(Event::InitDone, None);
        check(Event::Apply(running("a")), None);
        check(Event::Apply(running("b")), Some(("b", false)));
        check(Event::Delete(running("a")), None);
        // The watch restarts, and the pods are the same.
        check(Event::Init, None);
        check(Event::InitApply(running("b")), None);
        check(Event::InitApply(running("c")), Some(("c", false)));
        check(Event::InitDone, None);
    }

    #[test]
    fn a_container_that_starts_again_is_another_instance() {
        let mut instances = Instances::default();
        let mut again = running("a");
        assert!(
            instances
                .take(Event::Apply(running("a")), "function")
                .is_some()
        );
        let status = again
            .status
            .as_mut()
            .and_then(|status| status.container_statuses.as_mut());
        status.expect("the test's pod has a status")[0].container_id =
            Some("containerd://2".to_owned());
        assert!(
            instances
                .take(Event::Apply(again.clone()), "function")
                .is_some()
        );
        assert!(instances.take(Event::Apply(again), "function").is_none());
    }

    #[test]
    fn printed_lines_are_not_printed_again() {
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        let last = time("2026-01-01T00:00:05.7Z");
        let check = |printed: Option<&str>, last: Option<Timestamp>, expected| {
            let line = Line {
                time: printed.map(time),
                message: String::new(),
            };
            assert_eq!(is_duplicate(&line, last), expected, "{printed:?}");
        };
        check(Some("2026-01-01T00:00:05.6Z"), Some(last), true);
        check(Some("2026-01-01T00:00:05.7Z"), Some(last), true);
        check(Some("2026-01-01T00:00:05.8Z"), Some(last), false);
        check(Some("2026-01-01T00:00:00Z"), None, false);
        check(None, Some(last), false);

        let mut parameters = LogParams {
            tail_lines: Some(3),
            since_seconds: Some(9),
            ..LogParams::default()
        };
        resume(&mut parameters, None);
        assert_eq!(
            (parameters.tail_lines, parameters.since_seconds),
            (Some(3), Some(9))
        );
        resume(&mut parameters, Some(last));
        assert_eq!(
            (parameters.tail_lines, parameters.since_seconds),
            (None, None)
        );
        assert_eq!(parameters.since_time, Some(time("2026-01-01T00:00:04.7Z")));
    }
}
