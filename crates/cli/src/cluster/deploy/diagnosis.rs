//! Collects warnings and last log lines of a function that is not ready.
//!
//! A query that fails becomes a note.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ListParams, LogParams};
use serde::Serialize;

use crate::cluster::function::ClusterFunction;
use crate::cluster::serving_pods::ServingPods;
use crate::cluster::{Cluster, pods};

/// The most warnings shown.
const MAX_WARNINGS: usize = 5;

/// The most pods with logs shown.
const MAX_PODS: usize = 3;

/// Log lines of each pod.
const TAIL_LINES: i64 = 10;

/// The most bytes of a pod's log lines.
const MAX_BYTES: i64 = 16 << 10;

/// The collected information.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Diagnosis {
    /// Warnings, the newest last.
    pub(super) warnings: Vec<Warning>,
    /// The last log lines of pods that are not ready.
    pub(super) logs: Vec<PodLog>,
    /// Queries that failed.
    pub(super) notes: Vec<String>,
}

/// A warning event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Warning {
    /// The subject, such as `pod hello-7d4b9c-x2x4p`.
    pub(super) about: String,
    /// The event's reason, one word.
    pub(super) reason: String,
    /// The event's message.
    pub(super) message: String,
    /// The number of occurrences.
    pub(super) count: i32,
}

/// Log lines of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct PodLog {
    /// The pod.
    pub(super) pod: String,
    /// The lines.
    pub(super) lines: Vec<String>,
}

/// Collects all information. A query that is forbidden becomes a note.
pub(super) async fn gather(cluster: &Cluster, function: &ClusterFunction) -> Diagnosis {
    let ClusterFunction { namespace, uid, .. } = function;
    let mut diagnosis = Diagnosis::default();
    let serving = ServingPods::of(function);
    let mut found = match serving.list(cluster).await {
        Ok(pods) => pods,
        Err(failure) => {
            diagnosis.notes.push(failure.message);
            Vec::new()
        }
    };
    pods::by_age(&mut found);
    let action = format!("list events in namespace {namespace}");
    let warnings = ListParams::default().fields("type=Warning");
    match cluster
        .list(&action, &cluster.events(namespace), warnings)
        .await
    {
        Ok(events) => {
            let pods = found.iter().filter_map(|pod| pod.metadata.uid.as_deref());
            let subjects: BTreeSet<&str> = pods.chain(uid.as_deref()).collect();
            diagnosis.warnings = newest(&events, &subjects);
        }
        Err(failure) => diagnosis.notes.push(failure.message),
    }
    let silent = found.iter().rev().filter(|pod| !pods::is_ready(pod));
    let container = serving.container;
    let printed = |pod: &&Pod| pods::container(pod, container).is_some_and(pods::has_run);
    for pod in silent.take(MAX_PODS).filter(printed) {
        let pod = pods::name(pod);
        let parameters = LogParams {
            container: Some(container.to_owned()),
            tail_lines: Some(TAIL_LINES),
            limit_bytes: Some(MAX_BYTES),
            ..LogParams::default()
        };
        let action = format!("read what {pod} printed");
        match cluster
            .request(action, cluster.pods(namespace).logs(pod, &parameters))
            .await
        {
            Ok(text) if text.is_empty() => {}
            Ok(text) => diagnosis.logs.push(PodLog {
                pod: pod.to_owned(),
                lines: text.lines().map(str::to_owned).collect(),
            }),
            Err(failure) => diagnosis.notes.push(failure.message),
        }
    }
    diagnosis
}

/// The newest warnings about these objects, each text once.
fn newest(events: &[Event], subjects: &BTreeSet<&str>) -> Vec<Warning> {
    let about = |event: &&Event| {
        let uid = event.involved_object.uid.as_deref();
        uid.is_some_and(|uid| subjects.contains(uid))
    };
    let mut events: Vec<&Event> = events.iter().filter(about).collect();
    // Events of the newer API set only the third of these.
    events.sort_by_key(|event| {
        let last = event.last_timestamp.as_ref().map(|time| time.0);
        let series = event
            .series
            .as_ref()
            .and_then(|series| series.last_observed_time.as_ref());
        let begun = event.event_time.as_ref().map(|time| time.0);
        last.or(series.map(|time| time.0)).or(begun)
    });
    let mut said = BTreeSet::new();
    let mut warnings = Vec::new();
    for event in events.into_iter().rev() {
        let object = &event.involved_object;
        let kind = object.kind.as_deref().unwrap_or("object").to_lowercase();
        let reason = event.reason.clone().unwrap_or_default();
        let message = event.message.clone().unwrap_or_default();
        if warnings.len() < MAX_WARNINGS && said.insert((reason.clone(), message.clone())) {
            warnings.push(Warning {
                about: format!("{kind} {}", object.name.as_deref().unwrap_or_default()),
                reason,
                message,
                count: event.count.unwrap_or(1),
            });
        }
    }
    warnings.reverse();
    warnings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_warnings_about_the_function_are_reported_each_once() {
        let event = |uid: &str, minute: u32, reason: &str, count: Option<i32>| -> Event {
            serde_json::from_value(json!({
                "metadata": {}, "reason": reason, "message": "m", "count": count,
                "involvedObject": { "kind": "Pod", "name": format!("pod-{uid}"), "uid": uid },
                "lastTimestamp": format!("2026-01-01T00:{minute:02}:00Z"),
            }))
            .expect("an event")
        };
        let new: Event = serde_json::from_value(json!({
            "metadata": {}, "reason": "New", "message": "m",
            "involvedObject": { "kind": "WasmFunction", "name": "hello", "uid": "b" },
            "eventTime": "2026-01-01T00:03:00.000000Z",
        }))
        .expect("an event");
        let mut events = vec![
            event("a", 5, "Last", Some(3)),
            event("a", 1, "First", None),
            new,
            event("other", 4, "Other", None),
            event("b", 2, "First", None),
        ];
        let subjects = BTreeSet::from(["a", "b"]);
        let warnings: Vec<_> = newest(&events, &subjects)
            .into_iter()
            .map(|warning| (warning.about, warning.reason, warning.count))
            .collect();
        let expect =
            |about: &str, reason: &str, count| (about.to_owned(), reason.to_owned(), count);
        assert_eq!(
            warnings,
            [
                expect("pod pod-b", "First", 1),
                expect("wasmfunction hello", "New", 1),
                expect("pod pod-a", "Last", 3),
            ]
        );
        events.extend((10..30).map(|minute| event("a", minute, &minute.to_string(), None)));
        let reasons: Vec<_> = newest(&events, &subjects)
            .into_iter()
            .map(|warning| warning.reason)
            .collect();
        assert_eq!(reasons, ["25", "26", "27", "28", "29"]);
    }
}
