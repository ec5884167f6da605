//! Writes the resource's status, and an event when a condition changes its reason.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use sampan_crd::{ConditionKind, Placement, Reason, WasmFunction, WasmFunctionStatus};
use sampan_spec::Timespan;
use serde_json::json;

use crate::apply::MANAGER;
use crate::auto::AutoMove;
use crate::auto_functions::UnknownLoad;
use crate::build::Identity;
use crate::failure::{Failure, ReconcileError, Request};

/// The most bytes of an event's note.
const MAX_NOTE_BYTES: usize = 1_000;

/// Writes statuses and events.
pub(crate) struct StatusWriter {
    client: Client,
    recorder: Recorder,
}

impl StatusWriter {
    /// `instance` is the name of this operator among several.
    pub(crate) fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter {
            controller: "sampan.dev/operator".to_owned(),
            instance: Some(instance),
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
        }
    }

    /// Writes a changed status. Returns the resource version after it. With a version, a resource
    /// that has changed since is not written.
    pub(crate) async fn write(
        &self,
        identity: &Identity,
        previous: &WasmFunctionStatus,
        new: &WasmFunctionStatus,
        version: Option<u64>,
    ) -> Result<Option<u64>, Failure> {
        // Events come first: an interruption between the two repeats the event instead of losing
        // it.
        for kind in [
            ConditionKind::Accepted,
            ConditionKind::Ready,
            ConditionKind::Progressing,
        ] {
            if let Some(event) = transition(kind, previous, new) {
                self.publish(identity, &event).await;
            }
        }
        let functions: Api<WasmFunction> =
            Api::namespaced(self.client.clone(), &identity.namespace);
        let mut body = json!({
            "apiVersion": WasmFunction::api_version(&()),
            "kind": WasmFunction::kind(&()),
            // Does not write to a new resource with the same name.
            "metadata": { "name": identity.name, "uid": identity.uid },
            "status": new,
        });
        if let Some(version) = version {
            body["metadata"]["resourceVersion"] = version.to_string().into();
        }
        let parameters = PatchParams::apply(MANAGER).force();
        match functions
            .patch_status(&identity.name, &parameters, &Patch::Apply(&body))
            .await
        {
            Ok(written) => Ok(resource_version(&written)),
            Err(error) => {
                let request = Request {
                    verb: "patch",
                    namespace: &identity.namespace,
                    name: &identity.name,
                    subresource: Some("status"),
                };
                match request.classify::<WasmFunction>(&self.client, error).await {
                    ReconcileError::Ending => Ok(None),
                    ReconcileError::Failed(failure) => Err(failure),
                    // There is no other place to report it.
                    ReconcileError::Refused(refusal) => {
                        Err(Failure::StatusNotWritten(refusal.to_string()))
                    }
                }
            }
        }
    }

    /// Publishes that a function has moved.
    pub(crate) async fn publish_move(&self, identity: &Identity, to: Placement) {
        let note = match to {
            Placement::Pod => "pods of its own serve it; the pool goes on for some seconds",
            Placement::Pooled => {
                "the pool of the namespace serves it; its pods go on for some seconds"
            }
        };
        let event = Event {
            type_: EventType::Normal,
            reason: "Moved".to_owned(),
            note: Some(note.to_owned()),
            action: "Move".to_owned(),
            secondary: None,
        };
        self.publish(identity, &event).await;
    }

    /// Publishes that the load of a function moves it.
    pub(crate) async fn publish_auto_move(&self, identity: &Identity, decided: &AutoMove) {
        self.publish(identity, &auto_move(decided)).await;
    }

    /// Publishes why the load of a function is unknown.
    pub(crate) async fn publish_unknown_load(&self, identity: &Identity, cause: UnknownLoad) {
        let event = Event {
            type_: EventType::Warning,
            reason: "LoadUnknown".to_owned(),
            note: Some(cause.to_string()),
            action: "Measure".to_owned(),
            secondary: None,
        };
        self.publish(identity, &event).await;
    }

    async fn publish(&self, identity: &Identity, event: &Event) {
        let reference = ObjectReference {
            api_version: Some(WasmFunction::api_version(&()).into_owned()),
            kind: Some(WasmFunction::kind(&()).into_owned()),
            name: Some(identity.name.clone()),
            namespace: Some(identity.namespace.clone()),
            uid: Some(identity.uid.clone()),
            ..ObjectReference::default()
        };
        // Events are optional: the condition has the same content, and lasts.
        if let Err(error) = self.recorder.publish(&distinct(event), &reference).await {
            let Identity {
                namespace, name, ..
            } = identity;
            tracing::warn!(namespace, name, %error, "an event could not be written");
        }
    }
}

/// The resource version of an object, which grows with each change.
pub(crate) fn resource_version<K: Resource>(object: &K) -> Option<u64> {
    object.meta().resource_version.as_ref()?.parse().ok()
}

/// The event with an action of its own for each note. The recorder counts an event with the same reason
/// and the same action as a repetition, and keeps the note of the first one.
fn distinct(event: &Event) -> Event {
    let mut hasher = DefaultHasher::new();
    event.note.hash(&mut hasher);
    Event {
        type_: event.type_,
        reason: event.reason.clone(),
        note: event.note.clone(),
        action: format!("{}-{:016x}", event.action, hasher.finish()),
        secondary: event.secondary.clone(),
    }
}

/// The event of a move that the load asks for.
fn auto_move(decided: &AutoMove) -> Event {
    let AutoMove { to, load, rule } = decided;
    let (window, quiet) = (Timespan(rule.window), Timespan(rule.quiet));
    let (reason, note) = match to {
        Placement::Pod => (
            "MoveToPods",
            format!(
                "it used {load} processors on average over {window}, more than moveOut, {}: it moves to pods of its own",
                rule.move_out
            ),
        ),
        Placement::Pooled => (
            "MoveToPool",
            format!(
                "it used {load} processors on average over {window}, and less than moveBack, {}, for {quiet}: it moves back into the pool",
                rule.move_back
            ),
        ),
    };
    Event {
        type_: EventType::Normal,
        reason: reason.to_owned(),
        note: Some(note),
        action: "Move".to_owned(),
        secondary: None,
    }
}

/// The event of a condition with a new reason.
fn transition(
    kind: ConditionKind,
    previous: &WasmFunctionStatus,
    new: &WasmFunctionStatus,
) -> Option<Event> {
    let now = new.condition(kind)?;
    let before = previous.condition(kind);
    let same = |before: &&str| *before == now.reason;
    if before
        .map(|before| before.reason.as_str())
        .as_ref()
        .is_some_and(same)
    {
        return None;
    }
    let one_of = |reasons: &[Reason]| reasons.iter().any(|reason| reason.as_str() == now.reason);
    // A failure causes one event, although two conditions have it.
    let elsewhere = kind == ConditionKind::Progressing
        && new
            .condition(ConditionKind::Ready)
            .is_some_and(|ready| ready.reason == now.reason);
    if elsewhere
        || (kind == ConditionKind::Accepted && one_of(&[Reason::Valid]) && before.is_none())
    {
        return None;
    }
    let fine = [
        Reason::Valid,
        Reason::AllReady,
        Reason::SomeReady,
        Reason::ScaledToZero,
        Reason::Starting,
        Reason::RollingOut,
        Reason::Complete,
    ];
    Some(Event {
        type_: if one_of(&fine) {
            EventType::Normal
        } else {
            EventType::Warning
        },
        reason: now.reason.clone(),
        note: Some(now.message[..now.message.floor_char_boundary(MAX_NOTE_BYTES)].to_owned()),
        action: "Reconcile".to_owned(),
        secondary: None,
    })
}

#[cfg(test)]
mod tests {
    use sampan_crd::{Placement, ValidAuto};
    use sampan_spec::Processors;

    use super::{AutoMove, auto_move, distinct};

    #[test]
    fn an_event_with_another_note_is_no_repetition() {
        let action = |milli| {
            let event = distinct(&auto_move(&AutoMove {
                to: Placement::Pod,
                load: Processors::from_milli(milli),
                rule: ValidAuto::default(),
            }));
            assert!(event.action.starts_with("Move-"), "{}", event.action);
            event.action
        };
        assert_eq!(action(730), action(730));
        assert_ne!(action(730), action(900));
    }

    #[test]
    fn a_move_is_published_with_its_load() {
        let check = |to, milli, reason: &str, note: &str| {
            let event = auto_move(&AutoMove {
                to,
                load: Processors::from_milli(milli),
                rule: ValidAuto::default(),
            });
            assert_eq!(event.reason, reason);
            assert_eq!(event.note.as_deref(), Some(note));
        };
        check(
            Placement::Pod,
            730,
            "MoveToPods",
            "it used 730m processors on average over 1m, more than moveOut, 500m: it moves to pods of its own",
        );
        check(
            Placement::Pooled,
            12,
            "MoveToPool",
            "it used 12m processors on average over 1m, and less than moveBack, 100m, for 5m: it moves back into the pool",
        );
    }
}
