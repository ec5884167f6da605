//! Diagnoses why pods do not answer, from the status of pods and Deployment and from events.
//!
//! A pure function. It evaluates the reasons that Kubernetes defines, never the text of a message.
//! Messages are passed on to the user.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStatus, Event, Pod,
};
use sampan_crd::Reason;

/// The cause of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// The kind of failure.
    pub(crate) reason: Reason,
    /// The place, the failure, and the message of its source.
    pub(crate) message: String,
    /// Whether it only states that there was a failure. An earlier message of the same kind is then
    /// more useful.
    pub(crate) vague: bool,
}

impl Cause {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: cut(&message.into()),
            vague: false,
        }
    }
}

/// The most characters of a message. The pod's events have the whole one.
const MAX_MESSAGE: usize = 1_024;

/// Removes control characters of a foreign message, and truncates it.
pub(crate) fn cut(text: &str) -> String {
    let printed = |character: char| {
        if character.is_control() {
            ' '
        } else {
            character
        }
    };
    let mut shown: String = text.trim().chars().take(MAX_MESSAGE).map(printed).collect();
    if text.trim().chars().count() > MAX_MESSAGE {
        shown.push_str("...");
    }
    shown
}

/// The most specific cause, if there is one. `warnings` are events about the pods.
pub(crate) fn diagnose(
    deployment: Option<&Deployment>,
    pods: &[&Pod],
    warnings: &[&Event],
) -> Option<Cause> {
    let living = |pod: &&&Pod| pod.metadata.deletion_timestamp.is_none();
    // The newest pod runs the current version of the resource.
    let mut pods: Vec<&Pod> = pods.iter().filter(living).copied().collect();
    pods.sort_by(|left, right| age(right).cmp(&age(left)));
    (pods.iter().find_map(|pod| of_pod(pod, warnings)))
        .or_else(|| deployment.and_then(of_deployment))
}

fn age(pod: &Pod) -> (Option<i64>, Option<&String>) {
    let created = pod.metadata.creation_timestamp.as_ref();
    (
        created.map(|time| time.0.as_second()),
        pod.metadata.name.as_ref(),
    )
}

fn of_pod(pod: &Pod, warnings: &[&Event]) -> Option<Cause> {
    let status = pod.status.as_ref()?;
    let containers = [&status.init_container_statuses, &status.container_statuses];
    let found = containers
        .into_iter()
        .flatten()
        .flatten()
        .find_map(of_container);
    if found.is_some() {
        return found;
    }
    let condition = |kind: &str| {
        let conditions = status.conditions.as_deref().unwrap_or_default();
        conditions
            .iter()
            .find(|condition| condition.type_ == kind && condition.status == "False")
    };
    if let Some(unscheduled) = condition("PodScheduled") {
        let message = unscheduled.message.clone().unwrap_or_default();
        return Some(Cause::new(Reason::Unschedulable, message));
    }
    // Its containers wait, and only an event has the reason.
    let starting = status.phase.as_deref() == Some("Pending");
    let about = |event: &&&Event| event.involved_object.uid == pod.metadata.uid;
    let newest = |event: &&Event| event.last_timestamp.as_ref().map(|time| time.0.as_second());
    let event = warnings.iter().filter(about).copied().max_by_key(newest);
    event.filter(|_| starting).map(|event| {
        let reason = event.reason.as_deref().unwrap_or_default();
        let message = event.message.as_deref().unwrap_or_default();
        Cause::new(Reason::PodSetupFailed, format!("{reason}: {message}"))
    })
}

fn of_container(container: &ContainerStatus) -> Option<Cause> {
    let state = container.state.clone().unwrap_or_default();
    let last = container.last_state.clone().unwrap_or_default().terminated;
    if let Some(waiting) = state.waiting {
        let message = waiting.message.unwrap_or_default();
        let kind = match waiting.reason.as_deref().unwrap_or_default() {
            "ErrImagePull"
            | "ImagePullBackOff"
            | "ErrImageNeverPull"
            | "ImageInspectError"
            | "RegistryUnavailable"
            | "SignatureValidationFailed" => Reason::ImagePullFailed,
            "InvalidImageName" => Reason::InvalidImageName,
            "CreateContainerConfigError" => Reason::ConfigurationMissing,
            "CreateContainerError"
            | "RunContainerError"
            | "PreCreateHookError"
            | "PreStartHookError"
            | "PostStartHookError" => Reason::StartFailed,
            "CrashLoopBackOff" => return Some(of_end(container, last?)),
            // It is starting.
            _ => return None,
        };
        let backs_off = waiting.reason.as_deref() == Some("ImagePullBackOff");
        return Some(Cause {
            vague: backs_off,
            ..Cause::new(kind, format!("container {}: {message}", container.name))
        });
    }
    let ended = |state: ContainerState| state.terminated.filter(|ended| ended.exit_code != 0);
    // Between its end and its next start.
    ended(state).map(|terminated| of_end(container, terminated))
}

/// The cause of a container that ended unexpectedly.
fn of_end(container: &ContainerStatus, ended: ContainerStateTerminated) -> Cause {
    let name = &container.name;
    let message = ended.message.unwrap_or_default();
    let message = message.trim();
    let with_message = |what: String| {
        if message.is_empty() {
            what
        } else {
            format!("{what}: {message}")
        }
    };
    match ended.reason.as_deref().unwrap_or_default() {
        "OOMKilled" => Cause::new(
            Reason::OutOfMemory,
            format!(
                "container {name} used more memory than its pod may: see spec.template.resources"
            ),
        ),
        "StartError" | "ContainerCannotRun" => Cause::new(
            Reason::StartFailed,
            with_message(format!("container {name} could not start")),
        ),
        _ => Cause::new(
            Reason::CrashLoop,
            with_message(format!(
                "container {name} ended with exit code {}",
                ended.exit_code
            )),
        ),
    }
}

fn of_deployment(deployment: &Deployment) -> Option<Cause> {
    let status = deployment.status.as_ref()?;
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let message = |message: &Option<String>| message.clone().unwrap_or_default();
    let refused = conditions
        .iter()
        .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True");
    if let Some(refused) = refused {
        return Some(Cause::new(Reason::NotAdmitted, message(&refused.message)));
    }
    let late = conditions.iter().find(|condition| {
        condition.type_ == "Progressing"
            && condition.reason.as_deref() == Some("ProgressDeadlineExceeded")
    });
    late.map(|late| Cause::new(Reason::DeadlineExceeded, message(&late.message)))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::{Event, Pod};
    use sampan_crd::Reason;
    use serde_json::{Value, json};

    use super::{cut, diagnose};

    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers pass temporary `json!` values"
    )]
    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "p", "uid": "u" }, "status": status }))
            .expect("a pod")
    }

    fn check(container: Value, expected: Option<(Reason, &str)>) {
        let mut container = container;
        container["name"] = "function".into();
        for key in ["image", "imageID"] {
            container[key] = "".into();
        }
        container["ready"] = false.into();
        container["restartCount"] = 0.into();
        let pod = pod(json!({ "phase": "Pending", "containerStatuses": [container] }));
        let found = diagnose(None, &[&pod], &[]);
        assert_eq!(
            found.as_ref().map(|cause| cause.reason),
            expected.map(|(reason, _)| reason),
            "{found:?}"
        );
        if let (Some(found), Some((_, part))) = (found, expected) {
            assert!(found.message.contains(part), "{found:?} lacks {part}");
        }
    }

    #[test]
    fn a_waiting_container_has_a_cause() {
        let waiting = |reason: &str, message: &str| json!({ "state": { "waiting": { "reason": reason, "message": message } } });
        check(waiting("ContainerCreating", ""), None);
        check(waiting("PodInitializing", ""), None);
        check(
            waiting("ErrImagePull", "not found"),
            Some((Reason::ImagePullFailed, "function: not found")),
        );
        check(
            waiting("ImagePullBackOff", "back-off"),
            Some((Reason::ImagePullFailed, "back-off")),
        );
        check(
            waiting("InvalidImageName", "x"),
            Some((Reason::InvalidImageName, "x")),
        );
        check(
            waiting("CreateContainerConfigError", "secret \"s\" not found"),
            Some((Reason::ConfigurationMissing, "secret")),
        );
        check(
            waiting("CreateContainerError", "missing import"),
            Some((Reason::StartFailed, "missing import")),
        );
        check(
            waiting("RunContainerError", "trap"),
            Some((Reason::StartFailed, "trap")),
        );
    }

    #[test]
    fn a_terminated_container_has_a_cause() {
        let looping = |ended: Value| {
            json!({
                "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 10s" } },
                "lastState": { "terminated": ended },
            })
        };
        check(
            looping(json!({ "exitCode": 137, "reason": "OOMKilled" })),
            Some((Reason::OutOfMemory, "memory")),
        );
        check(
            looping(json!({ "exitCode": 128, "reason": "StartError", "message": "no wasi:http" })),
            Some((Reason::StartFailed, "no wasi:http")),
        );
        check(
            looping(json!({ "exitCode": 3, "reason": "Error", "message": "panicked\n" })),
            Some((Reason::CrashLoop, "code 3: panicked")),
        );
        check(
            json!({ "state": { "terminated": { "exitCode": 1, "reason": "Error" } } }),
            Some((Reason::CrashLoop, "code 1")),
        );
        check(
            json!({ "state": { "terminated": { "exitCode": 0, "reason": "Completed" } } }),
            None,
        );
        check(
            json!({ "state": { "running": {} }, "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } } }),
            None,
        );
    }

    #[test]
    fn a_pod_without_a_node_or_sandbox_has_a_cause() {
        let unscheduled = pod(json!({ "phase": "Pending", "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes" }] }));
        let found = diagnose(None, &[&unscheduled], &[]).expect("a cause");
        assert_eq!(
            (found.reason, found.message.as_str()),
            (Reason::Unschedulable, "0/3 nodes")
        );

        let event: Event =
            serde_json::from_value(json!({ "metadata": {}, "involvedObject": { "uid": "u" },
            "reason": "FailedMount", "message": "configmap \"c\" not found" }))
            .expect("an event");
        let pending = pod(json!({ "phase": "Pending" }));
        let found = diagnose(None, &[&pending], &[&event]).expect("a cause");
        assert_eq!(found.reason, Reason::PodSetupFailed);
        assert!(
            found.message.starts_with("FailedMount: configmap"),
            "{found:?}"
        );
        let running = pod(json!({ "phase": "Running" }));
        assert_eq!(diagnose(None, &[&running], &[&event]), None);
    }

    #[test]
    fn a_deployment_has_causes_that_no_pod_has() {
        #[expect(
            clippy::needless_pass_by_value,
            reason = "callers pass temporary `json!` values"
        )]
        fn check(condition: Value, expected: Option<Reason>) {
            let deployment: Deployment =
                serde_json::from_value(json!({ "status": { "conditions": [condition] } }))
                    .expect("a deployment");
            let found = diagnose(Some(&deployment), &[], &[]);
            assert_eq!(found.map(|cause| cause.reason), expected);
        }
        check(
            json!({ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" }),
            Some(Reason::NotAdmitted),
        );
        check(
            json!({ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" }),
            Some(Reason::DeadlineExceeded),
        );
        check(
            json!({ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" }),
            None,
        );
    }

    #[test]
    fn messages_are_safe_and_short() {
        assert_eq!(cut(" a\u{1b}[31m\nb "), "a [31m b");
        assert_eq!(cut(&"x".repeat(2_000)).len(), 1_027);
    }
}
