//! The raw `WasmPool`: the settings of a namespace's pool, and its status.
//!
//! A setting that is absent is that of the operator, which the chart gives it for all pools.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, ResourceRequirements, Toleration, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::ConditionKind;
use crate::scale::ScaleTarget;

/// The settings of the pool of a namespace. Default: those of the chart.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    crates(kube_core = "::kube_core"),
    group = "sampan.dev",
    version = "v1alpha1",
    kind = "WasmPool",
    plural = "wasmpools",
    shortname = "wpool",
    category = "all",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    status = "WasmPoolStatus",
    doc = "The settings of the pool of a namespace. Its pods serve all functions with placement Pooled, and those with Auto while their load is low. The name of the resource is default. The operator makes the pool with the first such function and removes it after the last one.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether the pool answers requests"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Reason of the Ready condition"
    ),
    printcolumn(
        name = "Pods",
        type_ = "string",
        json_path = ".status.pods",
        description = "Pods that answer, of those that are requested"
    ),
    printcolumn(
        name = "Functions",
        type_ = "integer",
        json_path = ".status.functions",
        description = "Functions that the pool serves or is to serve"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WasmPoolSpec {
    /// The number of pods. Default: the chart's pool.replicas. A pool that may have several pods has
    /// a PodDisruptionBudget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<PoolReplicas>,
    /// The use of the pods that automatic scaling aims at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ScaleTarget>,
    /// Requests and limits of each pod. The memory limit is that of all functions together. Default:
    /// the chart's pool.resources; a given value replaces all of that. Automatic scaling needs a
    /// request of processor time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that the pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub tolerations: Vec<Toleration>,
    /// The nodes and other pods that the pods prefer or avoid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How the pods are spread over zones and nodes. Default: over nodes, where that is possible.
    /// Without a labelSelector, the pods of the pool are counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// The priority of the pods when nodes are full: the name of a PriorityClass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// The RuntimeClass of the pods. Default: the chart's pool.runtimeClass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub runtime_class_name: Option<String>,
    /// The most disk of each pod's compiled modules, such as 10Gi. A pod that exceeds it is evicted.
    /// Default: the chart's pool.cacheSize.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 20),
        regex(pattern = r"^[1-9][0-9]*([kMGT]|[KMGT]i)?$")
    )]
    pub cache_size: Option<String>,
    /// The most memory of what each pod keeps for a restart of its container, such as 512Mi. A pod
    /// that exceeds it is evicted. Default: the chart's pool.stateSize.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 20),
        regex(pattern = r"^[1-9][0-9]*([kMGT]|[KMGT]i)?$")
    )]
    pub state_size: Option<String>,
}

/// The number of pods of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolReplicas {
    /// The fewest pods, 1 to 1000.
    #[schemars(range(min = 1, max = 1_000))]
    pub min: i32,
    /// The most pods, min to 1000. With more than min, a HorizontalPodAutoscaler chooses the number by
    /// the use of the pods. Default: min.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub max: Option<i32>,
}

/// The status of a pool. Only the operator writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WasmPoolStatus {
    /// The generation of the resource to which the status refers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted: the resource is valid. Ready: the pool answers. Progressing: pods are being replaced
    /// or added.
    #[serde(default)]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// Pods that answer, of those that are requested, such as 2/3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<String>,
    /// How many functions the pool serves, or is to serve.
    #[serde(default)]
    pub functions: i32,
}

impl WasmPoolStatus {
    /// The condition of this kind, if it was ever set.
    pub fn condition(&self, kind: ConditionKind) -> Option<&Condition> {
        kind.find(&self.conditions)
    }
}
