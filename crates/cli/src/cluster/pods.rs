//! Status of a pod and its containers, as pure functions.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

/// The pod's name.
pub(super) fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// Sorts by age, the oldest first.
pub(super) fn by_age(pods: &mut [Pod]) {
    pods.sort_by_key(|pod| {
        let created = pod.metadata.creation_timestamp.as_ref();
        (
            created.map(|time| time.0.as_second()),
            pod.metadata.name.clone(),
        )
    });
}

/// Whether the pod is ready and not being deleted.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref());
    let ready = |kind: &str| {
        let mut conditions = conditions.unwrap_or_default().iter();
        conditions.any(|condition| condition.type_ == kind && condition.status == "True")
    };
    ready("Ready") && pod.metadata.deletion_timestamp.is_none()
}

/// The status of the container with this name, of any kind of container.
pub(super) fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let kinds = [
        &status.container_statuses,
        &status.init_container_statuses,
        &status.ephemeral_container_statuses,
    ];
    let mut containers = kinds.into_iter().flatten().flatten();
    containers.find(|container| container.name == name)
}

/// Whether the pod's spec has a container with this name.
pub(super) fn has_container(pod: &Pod, name: &str) -> bool {
    let Some(spec) = &pod.spec else {
        return false;
    };
    let initial = spec.init_containers.iter().flatten();
    let mut all = spec.containers.iter().chain(initial);
    all.any(|container| container.name == name)
}

/// Whether the container runs or has run, so that it has logs.
pub(super) fn has_run(container: &ContainerStatus) -> bool {
    let ran = |state: &Option<ContainerState>| {
        let state = state.as_ref();
        state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    };
    ran(&container.state) || ran(&container.last_state)
}

/// Whether the container had an instance before the current one.
pub(super) fn has_run_before(container: &ContainerStatus) -> bool {
    let last = container.last_state.as_ref();
    last.is_some_and(|state| state.terminated.is_some())
}

/// The reason for which the container waits, as `ErrImagePull: MESSAGE`.
pub(super) fn waits_for(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().unwrap_or("Waiting");
    Some(match waiting.message.as_deref() {
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};

    use super::*;

    /// A pod with the container `function` in this state.
    pub(crate) fn pod(name: &str, ready: bool, state: &Value, last: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": name, "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": { "containers": [{ "name": "function" }], "initContainers": [{ "name": "first" }] },
            "status": {
                "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
                "containerStatuses": [{
                    "name": "function", "image": "", "imageID": "", "ready": ready, "restartCount": 0,
                    "state": state, "lastState": last, "containerID": format!("containerd://{name}"),
                }],
            },
        }))
        .expect("a pod")
    }

    #[test]
    fn a_container_has_run_or_waits() {
        fn check(state: &Value, last: &Value, expected: (bool, bool, Option<&str>)) {
            let pod = pod("a", false, state, last);
            let container = container(&pod, "function").expect("a container");
            let waits = waits_for(container);
            let found = (
                has_run(container),
                has_run_before(container),
                waits.as_deref(),
            );
            assert_eq!(found, expected);
        }
        let none = json!({});
        let running = json!({ "running": {} });
        let ended = json!({ "terminated": { "exitCode": 1 } });
        check(&running, &none, (true, false, None));
        check(&ended, &none, (true, false, None));
        check(&running, &ended, (true, true, None));
        let waiting = |reason: &str| json!({ "waiting": { "reason": reason } });
        let creating = (false, false, Some("ContainerCreating"));
        check(&waiting("ContainerCreating"), &none, creating);
        let looping = (true, true, Some("CrashLoopBackOff"));
        check(&waiting("CrashLoopBackOff"), &ended, looping);
        let pull = json!({ "waiting": { "reason": "ErrImagePull", "message": "not found" } });
        check(
            &pull,
            &none,
            (false, false, Some("ErrImagePull: not found")),
        );
    }

    #[test]
    fn a_pod_that_goes_is_not_ready() {
        let mut pod = pod("a", true, &json!({}), &json!({}));
        assert!(is_ready(&pod));
        pod.metadata.deletion_timestamp = pod.metadata.creation_timestamp.clone();
        assert!(!is_ready(&pod));
        assert!(!is_ready(&Pod::default()));
    }

    #[test]
    fn containers_of_every_kind_have_names() {
        let pod = pod("a", true, &json!({}), &json!({}));
        assert!(has_container(&pod, "function") && has_container(&pod, "first"));
        assert!(!has_container(&pod, "other"));
    }
}
