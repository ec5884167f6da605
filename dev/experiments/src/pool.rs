//! Manages the pool of the run's namespace: its one pod, and the resources of its functions.
//!
//! The pool keeps a resident of each measured function. So it outlives every unit of work, and has
//! a module before a measured function asks for it, as a node has images and compiled modules. The
//! operator makes the pool. Its pod gets the measured node, and the processor of pods, from here.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use sampan_measure::cluster::Cluster;
use sampan_measure::functions::functions;
use sampan_measure::namespace::{Namespace, wait};
use sampan_measure::{pool, processes};
use serde_json::{Value, json};

use super::images::{Function, Images};
use super::kind::Kind;
use super::manifest::{self, Profile};
use super::replicas::Replicas;

/// The container of the pool's pods.
const CONTAINER: &str = "pool";
/// How many functions are created at once.
const MAX_CONCURRENT_CREATES: usize = 16;

/// The pool of a namespace.
pub(super) struct Pool {
    namespace: Namespace,
    cluster: Cluster,
    node: String,
    /// The functions with a resident.
    residents: BTreeSet<String>,
    pod: Option<PoolPod>,
}

/// The only pod of the pool.
struct PoolPod {
    name: String,
    address: IpAddr,
    /// The profile whose processor it has.
    profile: Profile,
}

impl Pool {
    /// A pool that does not exist yet.
    ///
    /// # Errors
    ///
    /// When the cluster has no node.
    pub(super) fn new(namespace: &Namespace, cluster: &Cluster) -> Result<Self> {
        Ok(Self {
            namespace: Namespace::existing(namespace.client(), namespace.name()),
            cluster: cluster.clone(),
            node: cluster.node()?.name.clone(),
            residents: BTreeSet::new(),
            pod: None,
        })
    }

    /// Makes the pool serve the resident of a function, from a pod with the processor of a profile.
    pub(super) async fn hold(
        &mut self,
        images: &Images,
        function: &str,
        profile: Profile,
    ) -> Result<()> {
        let resident = format!("{function}-resident");
        if self.residents.insert(function.to_owned()) {
            self.create(&resident, images.function(function)?, 1)
                .await?;
        }
        let is_there = |pod: &PoolPod| pod.profile == profile;
        if !self.pod.as_ref().is_some_and(is_there) {
            // A limit cannot be taken from a running pod, so another profile gets another pod.
            let former = self.pod.take().map(|pod| pod.name);
            match &former {
                Some(name) => {
                    let api = self.namespace.pods();
                    api.delete(name, &DeleteParams::default()).await?;
                }
                None => pool::pin(&self.namespace, &self.node).await?,
            }
            let former = former.as_deref();
            let (name, address) = pool::ready_pod(&self.namespace, &self.node, former).await?;
            self.resize(&name, profile).await?;
            self.pod = Some(PoolPod {
                name,
                address,
                profile,
            });
        }
        let mut replicas = self.watch(&resident).await?;
        replicas.running(1).await.map(drop)
    }

    fn functions(&self) -> Api<DynamicObject> {
        functions(self.namespace.client(), self.namespace.name())
    }

    /// Watches the functions with a label.
    pub(super) async fn watch(&self, label: &str) -> Result<Replicas> {
        let address = self.pod.as_ref().map(|pod| pod.address);
        Replicas::of_functions(&self.namespace, label, address).await
    }

    /// Creates functions with a label; does not wait for them.
    pub(super) async fn create(&self, label: &str, images: &Function, count: u32) -> Result<()> {
        let image = self.cluster.image_in_cluster(images.image(Kind::Pooled))?;
        let function = &manifest::pooled(label, images, &image);
        let api = &self.functions();
        futures_util::stream::iter(0..count)
            .map(|_| async move { api.create(&PostParams::default(), function).await })
            .buffer_unordered(MAX_CONCURRENT_CREATES)
            .try_for_each(|_| async { Ok(()) })
            .await
            .with_context(|| format!("failed to create {label}"))
    }

    /// Deletes one function; does not wait until it is gone.
    pub(super) async fn delete(&self, name: &str) -> Result<()> {
        let api = self.functions();
        api.delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Deletes all functions with a label, and waits until they are gone.
    pub(super) async fn remove(&self, label: &str) -> Result<()> {
        let api = self.functions();
        let with_label = ListParams::default().labels(&manifest::selector(label));
        api.delete_collection(&DeleteParams::default(), &with_label)
            .await?;
        self.watch(label).await?.gone().await
    }

    /// The memory of the pool's pod in kibibytes: all of its processes, as for other pods.
    pub(super) async fn kibibytes(&self) -> Result<f64> {
        let pod = self.pod.as_ref().context("the pool has no pod")?;
        processes::kibibytes_of_pod(&self.namespace, &pod.name).await
    }

    /// Gives a running pod of the pool the processor of a profile, in place. Its memory stays the
    /// pool's, because modules are compiled in it.
    async fn resize(&self, name: &str, profile: Profile) -> Result<()> {
        let processor = manifest::processor(profile);
        let container = json!({ "name": CONTAINER, "resources": processor });
        let patch = Patch::Strategic(json!({ "spec": { "containers": [container] } }));
        let api = self.namespace.pods();
        api.patch_subresource("resize", name, &PatchParams::default(), &patch)
            .await
            .with_context(|| format!("failed to resize {name}"))?;
        let is_resized = |pod: Option<&Pod>| pod.is_some_and(|pod| has(pod, &processor));
        wait(api, name, is_resized)
            .await
            .with_context(|| format!("the kubelet does not resize {name} to {processor}"))
    }
}

/// Whether a pod's container runs with this processor.
fn has(pod: &Pod, processor: &Value) -> bool {
    /// The least that the kernel can share out, as the kubelet reports it.
    const LEAST: &str = "2m";
    let status = pod.status.as_ref();
    let mut containers = status
        .and_then(|status| status.container_statuses.as_deref())
        .into_iter()
        .flatten();
    let found = containers.find(|container| container.name == CONTAINER);
    let Some(resources) = found.and_then(|container| container.resources.as_ref()) else {
        return false;
    };
    let of = |part: &Option<std::collections::BTreeMap<String, Quantity>>| {
        let quantity = part.as_ref().and_then(|part| part.get("cpu"));
        quantity.map(|quantity| quantity.0.clone())
    };
    let wanted = |part: &str| processor[part]["cpu"].as_str();
    let (requests, limits) = (of(&resources.requests), of(&resources.limits));
    let is_requested =
        requests.as_deref() == wanted("requests") || requests.as_deref() == Some(LEAST);
    is_requested && limits.as_deref() == wanted("limits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resize_is_done_when_the_container_has_it() {
        fn check(resources: &Value, profile: Profile, expected: bool) {
            let pod = json!({
                "metadata": { "name": "p" },
                "status": { "containerStatuses": [{
                    "name": CONTAINER, "image": "i", "imageID": "i", "ready": true,
                    "restartCount": 0, "resources": resources,
                }]},
            });
            let found = has(
                &serde_json::from_value(pod).unwrap(),
                &manifest::processor(profile),
            );
            assert_eq!(found, expected, "{resources} {profile:?}");
        }
        let of = |request: &str, limits: Value| json!({ "requests": { "cpu": request, "memory": "128Mi" }, "limits": limits });
        let memory = || json!({ "memory": "4Gi" });
        let both = |cpu: &str| json!({ "memory": "4Gi", "cpu": cpu });
        check(&of("50m", memory()), Profile::Memory, false);
        check(&of("1m", memory()), Profile::Memory, true);
        check(&of("2m", memory()), Profile::Memory, true);
        check(&of("1m", memory()), Profile::Processor, false);
        check(&of("1m", both("1")), Profile::Processor, false);
        check(&of("1m", both("500m")), Profile::Processor, true);
        check(&Value::Null, Profile::Memory, false);
    }
}
