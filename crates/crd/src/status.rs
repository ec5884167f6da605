//! The status of a function, which the operator writes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::ConditionKind;
use crate::enumeration::enumeration;
use crate::placement::Placement;

/// The status of a function. Only the operator writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WasmFunctionStatus {
    /// The generation of the resource to which the status refers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted: the resource is valid. Ready: the function answers. Progressing: pods are being
    /// replaced or added.
    #[serde(default)]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// The URL of the function: at its Ingress, or else inside of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How many pods there are.
    #[serde(default)]
    pub replicas: i32,
    /// How many pods answer requests.
    #[serde(default)]
    pub ready_replicas: i32,
    /// How many pods run the current version of the resource.
    #[serde(default)]
    pub updated_replicas: i32,
    /// Pods that answer, of those that are requested, such as 2/3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<String>,
    /// The labels of the function's pods, for autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Where the function is served now. It follows spec.placement when the other place can answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "enumeration::<Placement>")]
    pub placement: Option<Placement>,
    /// The function's port in the pods of the pool, which its Service has as its target while it is
    /// pooled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10_000, max = 29_999))]
    pub pool_port: Option<u16>,
    /// When the Service last moved to the other place. The old place goes on serving for some seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_at: Option<Time>,
    /// The digest of the image that the newest running pod runs, such as sha256:0123.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl WasmFunctionStatus {
    /// The condition of this kind, if it was ever set.
    pub fn condition(&self, kind: ConditionKind) -> Option<&Condition> {
        kind.find(&self.conditions)
    }
}
