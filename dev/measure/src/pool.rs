//! Finds the pod of a namespace's pool, which the operator makes with the first pooled function.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::namespace::{Namespace, POD_TIMEOUT, wait};

/// The name of the operator's objects of a pool.
const POOL: &str = "sampan-pool";
/// The label of its pods.
const LABEL: &str = "sampan.dev/pool";
/// The label of pods' nodes.
const NODE: &str = "kubernetes.io/hostname";
/// The delay between two looks at the pods.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Waits until the operator has made the pool, and pins its pods to a node. The operator applies
/// only fields of its own, and keeps this one.
///
/// # Errors
///
/// When there is no pool in time, or the API server refuses the change.
pub async fn pin(namespace: &Namespace, node: &str) -> Result<()> {
    let api: Api<Deployment> = Api::namespaced(namespace.client(), namespace.name());
    let exists = |deployment: Option<&Deployment>| deployment.is_some();
    wait(api.clone(), POOL, exists)
        .await
        .context("the operator makes no pool; does it have an image of one?")?;
    let selector = json!({ "nodeSelector": { NODE: node } });
    let patch = Patch::Merge(json!({ "spec": { "template": { "spec": selector } } }));
    api.patch(POOL, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Waits until the pool has one pod, which is pinned to a node, ready and not the former one.
/// Returns its name and address.
///
/// # Errors
///
/// When there is none in time, or the API server does not answer.
pub async fn ready_pod(
    namespace: &Namespace,
    node: &str,
    former: Option<&str>,
) -> Result<(String, IpAddr)> {
    let (api, begun) = (namespace.pods(), Instant::now());
    loop {
        let pods = api.list(&ListParams::default().labels(LABEL)).await?;
        if let [pod] = pods.items.as_slice()
            && former != Some(pod.name_any().as_str())
            && let Some(address) = ready_address(pod, node)?
        {
            return Ok((pod.name_any(), address));
        }
        ensure!(
            begun.elapsed() < POD_TIMEOUT,
            "the pool has no ready pod on {node} within {POD_TIMEOUT:?}; there are {:?}",
            pods.items.iter().map(|pod| &pod.status).collect::<Vec<_>>()
        );
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Whether the conditions of a pod have it ready.
pub fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let mut conditions = status
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten();
    conditions.any(|it| it.type_ == "Ready" && it.status == "True")
}

/// The address of a pod that is pinned to a node, ready and not being deleted.
fn ready_address(pod: &Pod, node: &str) -> Result<Option<IpAddr>> {
    let spec = pod.spec.as_ref();
    let selector = spec.and_then(|spec| spec.node_selector.as_ref());
    let is_pinned = selector.is_some_and(|labels| labels.get(NODE).is_some_and(|it| it == node));
    let Some(status) = &pod.status else {
        return Ok(None);
    };
    let is_terminating = pod.metadata.deletion_timestamp.is_some();
    match &status.pod_ip {
        Some(address) if is_pinned && is_ready(pod) && !is_terminating => {
            Ok(Some(address.parse()?))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_s_pod_is_the_ready_one_on_its_node() {
        fn check(node: &str, ready: &str, deleted: bool, expected: bool) {
            let mut pod = json!({
                "metadata": { "name": "p" },
                "spec": { "containers": [], "nodeSelector": { NODE: node } },
                "status": {
                    "podIP": "10.0.0.1",
                    "conditions": [{ "type": "Initialized", "status": "True" },
                                   { "type": "Ready", "status": ready }],
                },
            });
            if deleted {
                pod["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
            }
            let found = ready_address(&serde_json::from_value(pod).unwrap(), "node-1").unwrap();
            assert_eq!(found.is_some(), expected, "{node} {ready} {deleted}");
        }
        check("node-1", "True", false, true);
        check("node-1", "False", false, false);
        check("node-1", "True", true, false);
        check("node-2", "True", false, false);
    }
}
