//! Which function an object belongs to.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Resource;
use sampan_crd::FUNCTION_LABEL;

use crate::grouped::Key;

/// Events that tell why a pod has no container yet. The API server selects by one reason at a time
/// only, so it is the kind and the type, and the rest is left out here.
pub(super) const PODS_WITH_TROUBLE: &str = "involvedObject.kind=Pod,type=Warning";

/// The reasons among them that no status of a pod has.
const REASONS: [&str; 4] = [
    "FailedCreatePodSandBox",
    "FailedMount",
    "FailedAttachVolume",
    "FailedCreatePodContainer",
];

/// A Deployment, Service or Ingress: its name is the function's.
pub(super) fn by_name<K: Resource>(object: &K) -> Option<Key> {
    let metadata = object.meta();
    Some((metadata.namespace.clone()?, metadata.name.clone()?))
}

/// A pod: its label is the function's name.
pub(super) fn by_label(pod: &Pod) -> Option<Key> {
    let function = pod.metadata.labels.as_ref()?.get(FUNCTION_LABEL)?;
    Some((pod.metadata.namespace.clone()?, function.clone()))
}

/// An event: the pod it is about, when it tells something that the pod does not.
pub(super) fn by_regarding(event: &Event) -> Option<Key> {
    let reason = event.reason.as_deref()?;
    REASONS.contains(&reason).then_some(())?;
    let regarding = &event.involved_object;
    Some((regarding.namespace.clone()?, regarding.name.clone()?))
}
