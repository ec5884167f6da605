//! Deploys functions into the pool of a test's namespace, and waits for their places.

use kube::runtime::wait::conditions::is_deleted;
use kube::{Resource, ResourceExt as _};

use crate::{Cluster, Namespace};

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
