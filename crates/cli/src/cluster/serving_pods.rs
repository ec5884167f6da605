//! The pods that serve a function: its own, or those of the pool of its namespace.

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use sampan_crd::{CONTAINER, POOL_LABEL, PORT};

use super::function::ClusterFunction;
use super::{Cluster, selector};
use crate::failure::Failure;

/// The container of a pool's pod.
const POOL_CONTAINER: &str = "pool";

/// How to find the pods that serve a function, and the function in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServingPods {
    namespace: String,
    /// The function's name, for messages.
    function: String,
    /// The label selector of the pods.
    pub(super) selector: String,
    /// The container that serves.
    pub(super) container: &'static str,
    /// The function's port in the pool; `None` for its own pods.
    pool_port: Option<u16>,
    /// Whether the pods serve other functions as well.
    pub(super) shared: bool,
}

impl ServingPods {
    /// The pods at the place where the function is served now.
    pub(super) fn of(function: &ClusterFunction) -> Self {
        let shared = function.is_pooled();
        Self {
            namespace: function.namespace.clone(),
            function: function.name.clone(),
            selector: if shared {
                pool_selector()
            } else {
                selector(&function.name)
            },
            container: if shared { POOL_CONTAINER } else { CONTAINER },
            pool_port: function.status.pool_port.filter(|_| shared),
            shared,
        }
    }

    /// Lists them.
    pub(super) async fn list(&self, cluster: &Cluster) -> Result<Vec<Pod>, Failure> {
        let Self {
            namespace,
            function,
            ..
        } = self;
        let action = format!("list the pods of {function} in namespace {namespace}");
        let parameters = ListParams::default().labels(&self.selector);
        let api = cluster.pods(namespace);
        cluster.list(&action, &api, parameters).await
    }

    /// The port at which one of them serves the function.
    pub(super) fn port(&self, pod: &Pod) -> u16 {
        self.pool_port.unwrap_or_else(|| own_port(pod))
    }
}

/// The label selector of a pool's pods.
pub(super) fn pool_selector() -> String {
    let (label, pool) = POOL_LABEL;
    format!("{label}={pool}")
}

/// The port of the function's container.
fn own_port(pod: &Pod) -> u16 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let own = containers.filter(|container| container.name == CONTAINER);
    let mut ports = own.flat_map(|container| container.ports.iter().flatten());
    let http = ports.find(|port| port.name.as_deref() == Some("http"));
    http.and_then(|port| u16::try_from(port.container_port).ok())
        .unwrap_or(PORT)
}

#[cfg(test)]
mod tests {
    use sampan_crd::Placement;
    use serde_json::json;

    use super::*;
    use crate::cluster::function::tests::function;

    #[test]
    fn the_port_is_the_one_named_http() {
        let check = |containers, expected| {
            let pod = json!({ "metadata": {}, "spec": { "containers": containers } });
            let pod: Pod = serde_json::from_value(pod).expect("a pod");
            assert_eq!(own_port(&pod), expected);
        };
        check(json!([{ "name": "function" }]), PORT);
        let ports = json!([{ "name": "admin", "containerPort": 1 }, { "name": "http", "containerPort": 9000 }]);
        check(json!([{ "name": "function", "ports": ports }]), 9000);
        check(
            json!([{ "name": "sidecar", "ports": ports }, { "name": "function" }]),
            PORT,
        );
    }

    #[test]
    fn the_status_says_which_pods_serve_a_function() {
        let check = |placement, pool_port, selector: &str, container: &str, port| {
            let mut function = function(1, &[]);
            function.status.placement = placement;
            function.status.pool_port = pool_port;
            let pods = ServingPods::of(&function);
            assert_eq!(pods.selector, selector);
            assert_eq!(pods.container, container);
            assert_eq!(pods.port(&Pod::default()), port);
        };
        let own = "sampan.dev/function=hello";
        check(None, None, own, "function", PORT);
        // It is loaded in the pool, and its Service has not moved yet.
        check(Some(Placement::Pod), Some(10_007), own, "function", PORT);
        let pool = "sampan.dev/pool=default";
        check(Some(Placement::Pooled), Some(10_007), pool, "pool", 10_007);
    }
}
