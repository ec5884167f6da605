//! Other settings of a function's pods, with Kubernetes' own types, so that kubectl explains them.
//!
//! Settings that the operator owns are left out: the function's own container, the RuntimeClass and
//! its network.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Container, EnvFromSource, PodDNSConfig, PodSecurityContext, ResourceRequirements,
    Toleration, TopologySpreadConstraint, Volume, VolumeMount,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::enumeration::enumeration;

/// Other settings of a function's pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Template {
    /// More labels of the pods. Those of sampan.dev and app.kubernetes.io/name are the operator's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,
    /// More annotations of the pods. Those of sampan.dev are the operator's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
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
    /// How the pods are spread over zones and nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Ordinary containers beside the function, in the same pod and network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub sidecars: Vec<Container>,
    /// Ordinary containers that run to their end before the function starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub init_containers: Vec<Container>,
    /// Volumes that the containers of the pod can mount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub volumes: Vec<Volume>,
    /// Volumes that the function's own container mounts. A function that receives requests as a
    /// handler has no files; one that is a command (http: cgi) has these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub volume_mounts: Vec<VolumeMount>,
    /// ConfigMaps and Secrets of which every key becomes a variable of the function's environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub env_from: Vec<EnvFromSource>,
    /// Requests and limits of the function's container. Default: requests of 10m processor and 16Mi
    /// memory, and a limit of the memory to which the function's own limits can add up. A given
    /// value replaces all of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// User, groups and file ownership of the pod. Default: the runtime's default seccomp profile,
    /// and for the function's own container user and group 65532 and never root; given values have
    /// priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurityContext>,
    /// The service account of the pods. Default: the namespace's. Its token is not mounted by
    /// default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// Whether the service account's token is mounted into the containers. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automount_service_account_token: Option<bool>,
    /// How many seconds a pod has to finish its requests before it is killed, 0 to 86400. Default:
    /// the function's timeout and some more, so that no request is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub termination_grace_period_seconds: Option<i64>,
    /// The priority of the pods when nodes are full: the name of a PriorityClass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// When a node pulls the image. Default: Always for the tag latest and for no tag, IfNotPresent
    /// for all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "enumeration::<PullPolicy>")]
    pub image_pull_policy: Option<PullPolicy>,
    /// The scheduler of the pods. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub scheduler_name: Option<String>,
    /// How the pods resolve names. Default: ClusterFirst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub dns_policy: Option<String>,
    /// Name servers, search paths and options of the pods' resolver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_config: Option<PodDNSConfig>,
}

/// When a node pulls the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// Before every start.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// Never: the pod starts only if the node has it.
    Never,
}
