//! Deploys functions into the pool of a test's namespace, waits for their places, and finds the pool's pods.

use std::net::IpAddr;

use k8s_openapi::api::core::v1;
use kube::api::ListParams;
use kube::runtime::wait::conditions::is_deleted;
use kube::{Resource, ResourceExt as _};

use crate::containers::parent_of;
use crate::{Cluster, Namespace, processes_of};

/// The name of all objects of a pool.
pub const POOL: &str = "sampan-pool";

/// The line of a resource that asks for the pool.
pub const POOLED: &str = "  placement: Pooled\n";

/// An image as a pod of the pool pulls it: the registry has another name there.
pub fn in_pods(cluster: &Cluster, image: &str) -> String {
    let name = image.strip_prefix(&cluster.registry);
    let name = name.expect("the image is in the cluster's registry");
    format!("{}{name}", cluster.registry_in_cluster)
}

/// A running pod of a pool.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// The address of its node.
    pub node_address: IpAddr,
    /// The identifier of its container, which changes with a restart.
    pub container: String,
}

impl Pod {
    /// `None` for a pod that ends, or does not run yet.
    fn running(pod: &v1::Pod) -> Option<Pod> {
        if pod.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let status = pod.status.as_ref()?;
        let containers = status.container_statuses.as_ref()?;
        let container = containers.first()?.container_id.as_ref()?;
        let address = |text: &String| text.parse().expect("a status has valid addresses");
        Some(Pod {
            name: pod.name_any(),
            address: address(status.pod_ip.as_ref()?),
            node_address: address(status.host_ip.as_ref()?),
            container: container.trim_start_matches("containerd://").to_owned(),
        })
    }

    /// The processes of its container: the pool, and those that compile modules.
    pub fn processes(&self) -> Vec<i32> {
        processes_of(std::slice::from_ref(&self.container))
    }

    /// The process of the pool, which started the others.
    pub fn server(&self) -> i32 {
        let processes = self.processes();
        let is_first = |process: &&i32| {
            // One that has ended was a compiler.
            parent_of(**process).is_some_and(|parent| !processes.contains(&parent))
        };
        let first = processes.iter().find(is_first);
        *first.expect("the container has a process")
    }
}

/// The running pods of the namespace's pool, by name.
pub async fn pods(namespace: &Namespace) -> Vec<Pod> {
    let of_pool = ListParams::default().labels("sampan.dev/pool");
    let pods = namespace.api::<v1::Pod>().list(&of_pool).await;
    let pods = pods.expect("failed to list pods").items;
    let mut running: Vec<_> = pods.iter().filter_map(Pod::running).collect();
    running.sort_by(|one, other| one.name.cmp(&other.name));
    running
}

/// Gives the namespace's pool its settings: the `spec` of its `WasmPool`.
pub fn configure(namespace: &Namespace, spec: &str) {
    namespace.apply(&format!(
        "apiVersion: sampan.dev/v1alpha1\nkind: WasmPool\nmetadata: {{ name: default }}\nspec: {spec}\n"
    ));
}

/// Waits until the pool has this many pods, all of them ready.
pub fn wait_until_ready(namespace: &Namespace, count: usize) {
    let expected = format!("{count}/{count}");
    let shown = ["get", "wpool", "default", "-o", "jsonpath={.status.pods}"];
    namespace.until(&shown, |said| said == expected);
}

/// Deploys a pooled function.
pub fn deploy(namespace: &Namespace, name: &str, image: &str, more: &str) {
    let image = in_pods(namespace.cluster(), image);
    namespace.deploy(name, &image, &format!("{POOLED}{more}"));
}

/// Waits until a function is served at a place, and its current version completely.
pub fn wait_until_placed(namespace: &Namespace, name: &str, placement: &str) {
    let path = "jsonpath={.metadata.generation} {.status.observedGeneration} {.status.placement} \
                {.status.conditions[?(@.type==\"Progressing\")].reason}";
    let wfn = format!("wfn/{name}");
    namespace.until(&["get", &wfn, "-o", path], |said| {
        let words: Vec<&str> = said.split(' ').collect();
        matches!(words[..], [is, seen, at, "Complete"] if is == seen && at == placement)
    });
}

/// Waits until a condition has this reason and these words.
pub fn wait_for_reason(
    namespace: &Namespace,
    name: &str,
    condition: &str,
    reason: &str,
    words: &str,
) {
    let path = format!("jsonpath={{.status.conditions[?(@.type==\"{condition}\")]}}");
    let wfn = format!("wfn/{name}");
    namespace.until(&["get", &wfn, "-o", &path], |said| {
        said.contains(&format!("\"{reason}\"")) && said.contains(words)
    });
}

/// Changes the place that a function asks for.
pub fn change_place(namespace: &Namespace, name: &str, placement: &str) {
    let patch = format!("{{\"spec\":{{\"placement\":\"{placement}\",\"replicas\":null}}}}");
    let wfn = format!("wfn/{name}");
    namespace
        .kubectl()
        .output(&["patch", &wfn, "--type=merge", "-p", &patch]);
}

/// Waits until an object of this name is gone.
pub async fn wait_until_gone<K>(namespace: &Namespace, name: &str)
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + 'static,
{
    let found = namespace.api::<K>().get_opt(name).await;
    if let Some(found) = found.expect("the API server answers") {
        let uid = found.uid().expect("an object has an identifier");
        namespace.wait_for::<K>(name, "go", is_deleted(&uid)).await;
    }
}
