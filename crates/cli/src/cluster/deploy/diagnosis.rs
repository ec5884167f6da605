//! What a cluster knows about a function that does not answer: warnings about its pods, and what they printed
//! last.
//!
//! Refuses to hide what could not be asked for: it becomes a note.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ListParams, LogParams};
use sampan_crd::CONTAINER;
use serde::Serialize;

use crate::cluster::seen::Seen;
use crate::cluster::{Cluster, pods};

/// The most warnings that are shown.
const WARNINGS: usize = 5;

/// The most pods whose output is shown.
const PODS: usize = 3;

/// The last lines of each.
const LINES: i64 = 10;

/// The most bytes of these lines.
const BYTES: i64 = 16 << 10;

/// What is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Diagnosis {
    /// Warnings, the newest last.
    pub(super) warnings: Vec<Warning>,
    /// What pods that are not ready printed last.
    pub(super) logs: Vec<Printed>,
    /// What could not be found out.
    pub(super) notes: Vec<String>,
}

/// A warning of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Warning {
    /// What it is about, such as `pod hello-7d4b9c-x2x4p`.
    pub(super) about: String,
    /// One word.
    pub(super) reason: String,
    /// The words.
    pub(super) message: String,
    /// How often it came.
    pub(super) count: i32,
}

/// What a pod printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Printed {
    /// The pod.
    pub(super) pod: String,
    /// The lines.
    pub(super) lines: Vec<String>,
}

/// Asks for everything. What is not allowed is left out, with a note.
pub(super) async fn gather(cluster: &Cluster, seen: &Seen) -> Diagnosis {
    let Seen {
        name,
        namespace,
        uid,
        ..
    } = seen;
    let mut diagnosis = Diagnosis::default();
    let mut found = match cluster.pods_of(namespace, name).await {
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
    for pod in silent.take(PODS).filter(|pod| has_printed(pod)) {
        let pod = pods::name(pod);
        let parameters = LogParams {
            container: Some(CONTAINER.to_owned()),
            tail_lines: Some(LINES),
            limit_bytes: Some(BYTES),
            ..LogParams::default()
        };
        let action = format!("read what {pod} printed");
        match cluster
            .ask(action, cluster.pods(namespace).logs(pod, &parameters))
            .await
        {
            Ok(text) if text.is_empty() => {}
            Ok(text) => diagnosis.logs.push(Printed {
                pod: pod.to_owned(),
                lines: text.lines().map(str::to_owned).collect(),
            }),
            Err(failure) => diagnosis.notes.push(failure.message),
        }
    }
    diagnosis
}

fn has_printed(pod: &Pod) -> bool {
    pods::container(pod, CONTAINER).is_some_and(pods::has_run)
}

/// The newest warnings about these objects. The same words are said once.
fn newest(events: &[Event], subjects: &BTreeSet<&str>) -> Vec<Warning> {
    let about = |event: &&Event| {
        let uid = event.involved_object.uid.as_deref();
        uid.is_some_and(|uid| subjects.contains(uid))
    };
    let mut events: Vec<&Event> = events.iter().filter(about).collect();
    // Events of the newer interface have only the third of these.
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
        if warnings.len() < WARNINGS && said.insert((reason.clone(), message.clone())) {
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
    fn warnings_are_those_about_the_function_and_each_is_said_once() {
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
        let told: Vec<_> = newest(&events, &subjects)
            .into_iter()
            .map(|warning| (warning.about, warning.reason, warning.count))
            .collect();
        let expect =
            |about: &str, reason: &str, count| (about.to_owned(), reason.to_owned(), count);
        assert_eq!(
            told,
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
