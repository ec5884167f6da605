//! Finds the function of an object.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Resource;
use sampan_crd::{FUNCTION_LABEL, POOL, POOL_LABEL};

use crate::grouped::Key;

/// Selects events about pods without a container. The API server can select only one reason at a
/// time, so this selects by kind and type, and the rest is dropped here.
pub(super) const POD_WARNINGS: &str = "involvedObject.kind=Pod,type=Warning";

/// The reasons among them that no status of a pod has.
const REASONS: [&str; 4] = [
    "FailedCreatePodSandBox",
    "FailedMount",
    "FailedAttachVolume",
    "FailedCreatePodContainer",
];

/// An object with the name of its function or pool, such as a Deployment or an autoscaler.
pub(crate) fn by_name<K: Resource>(object: &K) -> Option<Key> {
    let metadata = object.meta();
    Some((metadata.namespace.clone()?, metadata.name.clone()?))
}

/// A pod: its label is the function's name, or that of a pool's pods.
pub(super) fn by_label(pod: &Pod) -> Option<Key> {
    let labels = pod.metadata.labels.as_ref()?;
    let (label, pool) = POOL_LABEL;
    let is_pool = labels.get(label).is_some_and(|value| value == pool);
    // A function cannot have this name.
    let pool = || is_pool.then(|| POOL.to_owned());
    let group = labels.get(FUNCTION_LABEL).cloned().or_else(pool)?;
    Some((pod.metadata.namespace.clone()?, group))
}

/// An event: its pod, if the event says what the pod's status does not.
pub(super) fn by_regarding(event: &Event) -> Option<Key> {
    let reason = event.reason.as_deref()?;
    REASONS.contains(&reason).then_some(())?;
    let regarding = &event.involved_object;
    Some((regarding.namespace.clone()?, regarding.name.clone()?))
}
