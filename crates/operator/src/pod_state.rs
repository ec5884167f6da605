//! The state of a pool's pod, as the cluster has it.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Pod;

/// Whether a pod is ready, and is not ending.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_deref());
    let mut conditions = conditions.unwrap_or_default().iter();
    !is_ending(pod)
        && conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether a pod is being deleted, or has ended.
pub(crate) fn is_ending(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some() || has_ended(pod)
}

/// Whether all containers of a pod have ended for good.
pub(crate) fn has_ended(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Failed" | "Succeeded"))
}

/// The address at which a pod reports.
pub(crate) fn address(pod: &Pod) -> Option<IpAddr> {
    let address = pod.status.as_ref()?.pod_ip.as_ref()?;
    address.parse().ok()
}
