//! The contenders: the same function as a component under `sampan` and as a program under runc.

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::arguments::Images;

/// The container's name in each pod.
pub(crate) const CONTAINER: &str = "hello";
/// The port of both.
pub(crate) const PORT: u16 = 8080;

/// A contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// A component, run by the shim.
    Sampan,
    /// A native program in a container, run by runc.
    Runc,
}

impl Contender {
    /// Both, runc first.
    pub(crate) const ALL: [Self; 2] = [Self::Runc, Self::Sampan];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sampan => "sampan",
            Self::Runc => "runc",
        }
    }

    /// A pod with one container. It has no token and no probes, which a fair comparison does not
    /// need. Both kinds end at once on SIGTERM.
    ///
    /// # Panics
    ///
    /// Never: the fields below are those of a pod.
    pub(crate) fn pod(self, name: &str, images: &Images) -> Pod {
        let mut spec = json!({
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": CONTAINER,
                "image": match self {
                    Self::Sampan => &images.wasm_image,
                    Self::Runc => &images.container_image,
                },
                "imagePullPolicy": "IfNotPresent",
                "ports": [{ "containerPort": PORT }],
            }],
        });
        if self == Self::Sampan {
            spec["runtimeClassName"] = json!("sampan");
        }
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": name, "labels": { "contender": self.name() } },
            "spec": spec,
        });
        serde_json::from_value(pod).expect("these are the fields of a pod")
    }
}
