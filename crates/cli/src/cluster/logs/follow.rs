//! Following what pods print: those that there are, those that come, and containers that start again.
//!
//! Each instance of a container has a task of its own that reads its stream; one loop starts the tasks and
//! prints. A stream that breaks is taken up again where it was. Refuses to let readers run ahead of the
//! terminal: the channel between them is bounded.

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
use super::{Cluster, parameters};
use crate::arguments::Logs;
use crate::cluster::watch::{Broken, broken};
use crate::cluster::{pods, selector};
use crate::failure::Failure;
use crate::output::print_on;

/// How many lines may wait to be printed.
const QUEUE: usize = 256;

/// How long a broken stream is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// What readers tell.
enum Told {
    Line(String, Line),
    Failed(Failure),
}

/// Follows until nobody reads any more.
pub(super) async fn follow(cluster: &Cluster, arguments: &Logs) -> Result<(), Failure> {
    let (sender, mut receiver) = mpsc::channel(QUEUE);
    let api = cluster.pods(&cluster.namespace);
    let watch =
        watcher(api, Config::default().labels(&selector(&arguments.name))).default_backoff();
    pin_mut!(watch);
    let mut printer = Printer::new(arguments);
    let mut instances = Instances::default();
    let mut names = HashSet::new();
    loop {
        tokio::select! {
            event = watch.next() => match event {
                Some(Ok(event)) => {
                    if let Some((pod, first)) = instances.take(event, &arguments.container) {
                        let name = pods::name(&pod).to_owned();
                        names.insert(name.clone());
                        printer.several(names.len() > 1);
                        let parameters = if first {
                            parameters(arguments)
                        } else {
                            // What came later is of interest from its beginning.
                            LogParams { tail_lines: None, since_seconds: None, ..parameters(arguments) }
                        };
                        let reader = Reader {
                            cluster: cluster.clone(),
                            function: arguments.name.clone(),
                            pod: name,
                            instance: instance(&pod, &arguments.container),
                            parameters,
                        };
                        tokio::spawn(reader.run(sender.clone()));
                    }
                }
                Some(Err(error)) => {
                    if broken(&error) == Broken::ForGood {
                        let action = format!("follow the pods of {}", arguments.name);
                        return Err(Failure::watch(&error, &cluster.asked(action)));
                    }
                }
                None => return Ok(()),
            },
            told = receiver.recv() => match told {
                Some(Told::Line(pod, line)) => {
                    if print_on(printer.show(&pod, &line).as_bytes())? == ControlFlow::Break(()) {
                        return Ok(());
                    }
                }
                Some(Told::Failed(failure)) => return Err(failure),
                // The loop holds a sender itself.
                None => return Ok(()),
            },
        }
    }
}

/// Which instance of a container a pod has now, if it has printed anything.
fn instance(pod: &Pod, container: &str) -> Option<String> {
    let status = pods::container(pod, container)?;
    let state = status.state.as_ref()?;
    let started = state.running.is_some() || state.terminated.is_some();
    status.container_id.clone().filter(|_| started)
}

/// The instances of containers that are read, or were.
#[derive(Debug, Default)]
struct Instances {
    known: HashSet<String>,
    /// The first look at the pods is over.
    settled: bool,
}

impl Instances {
    /// A pod with an instance that nobody reads yet, and whether it was there from the first.
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

/// Reads one instance of a container to its end.
struct Reader {
    cluster: Cluster,
    function: String,
    pod: String,
    instance: Option<String>,
    parameters: LogParams,
}

impl Reader {
    async fn run(mut self, sender: mpsc::Sender<Told>) {
        let mut last: Option<Timestamp> = None;
        loop {
            let api = self.cluster.pods(&self.cluster.namespace);
            match api.log_stream(&self.pod, &self.parameters).await {
                Ok(stream) => {
                    let mut lines = Lines::new(stream);
                    // A stream that breaks is like one that ends: which of both it was, the pod tells.
                    while let Ok(Some(line)) = lines.next().await {
                        if is_known(&line, last) {
                            continue;
                        }
                        last = line.time.or(last);
                        if sender
                            .send(Told::Line(self.pod.clone(), line))
                            .await
                            .is_err()
                        {
                            return;
                        }
                    }
                }
                // It is gone, or its container is.
                Err(Error::Api(status)) if [400, 404].contains(&status.code) => return,
                Err(Error::Api(status)) if status.code < 429 => {
                    let action = format!("read what {} prints", self.pod);
                    let asked = self.cluster.asked(action);
                    let failure = Failure::cluster(&Error::Api(status), &asked);
                    // Nobody listens any more only when the program ends.
                    let _ = sender.send(Told::Failed(failure)).await;
                    return;
                }
                Err(_) => {}
            }
            sleep(PAUSE).await;
            if !self.goes_on().await {
                return;
            }
            resume(&mut self.parameters, last);
        }
    }

    /// Whether the same instance still prints. A cluster that cannot be asked is asked again.
    async fn goes_on(&self) -> bool {
        let namespace = &self.cluster.namespace;
        let Ok(found) = self.cluster.pods_of(namespace, &self.function).await else {
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

/// Goes on after the last line. The API server counts whole seconds, and the client rounds.
fn resume(parameters: &mut LogParams, last: Option<Timestamp>) {
    let Some(last) = last else {
        return;
    };
    parameters.tail_lines = None;
    parameters.since_seconds = None;
    parameters.since_time = last.checked_sub(SignedDuration::from_secs(1)).ok();
}

/// Whether a line came before, in the stream that broke.
fn is_known(line: &Line, last: Option<Timestamp>) -> bool {
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
        // The watch begins anew, and the pods are the same.
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
    fn what_was_printed_before_is_not_printed_again() {
        let time = |text: &str| text.parse::<Timestamp>().expect("a time");
        let last = time("2026-01-01T00:00:05.7Z");
        let check = |printed: Option<&str>, last: Option<Timestamp>, expected| {
            let line = Line {
                time: printed.map(time),
                message: String::new(),
            };
            assert_eq!(is_known(&line, last), expected, "{printed:?}");
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
