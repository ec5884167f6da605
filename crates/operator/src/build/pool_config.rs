//! The settings of one pool: those of all pools, overlaid by the `WasmPool` of its namespace.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{
    Affinity, ResourceRequirements, Toleration, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use sampan_crd::{Invalid, NO_CPU_REQUEST, ValidPool, ValidScale, requests_cpu};

/// The settings of all pools.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolSettings {
    /// The image of the program `sampan-pool`.
    pub image: String,
    /// When a node pulls it; `None` for Kubernetes' default.
    pub image_pull_policy: Option<String>,
    /// Secrets with credentials for it, in each namespace with a pool.
    pub image_pull_secrets: Vec<String>,
    /// The `RuntimeClass`; `None` for the cluster's default runtime.
    pub runtime_class: Option<String>,
    /// Pods of each pool.
    pub replicas: i32,
    /// Registries from which functions are pulled over HTTP without TLS.
    pub plain_http_registries: Vec<String>,
    /// Resources of each pod.
    pub resources: ResourceRequirements,
    /// How long a terminating pod accepts requests. Whole seconds.
    pub drain_delay: Duration,
    /// How long a starting pod waits for the next function that is loaded. Whole seconds.
    pub ready_timeout: Duration,
    /// The most memory of what a pod keeps for a restart of its container.
    pub state_size: Quantity,
    /// The most disk of a pod's compiled modules.
    pub cache_size: Quantity,
}

/// How many pods a pool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodCount {
    /// This number.
    Fixed(i32),
    /// The number that a `HorizontalPodAutoscaler` chooses.
    Scaled(ValidScale),
}

impl PodCount {
    /// The most pods, but for those of a roll-out.
    pub fn max(self) -> i32 {
        match self {
            Self::Fixed(count) => count,
            Self::Scaled(scale) => scale.max,
        }
    }
}

/// The settings of one pool.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Those that all pools have. Its `replicas` are those without a `WasmPool`.
    pub settings: PoolSettings,
    /// How many pods there are.
    pub pods: PodCount,
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods tolerate.
    pub tolerations: Vec<Toleration>,
    /// Nodes and other pods that the pods prefer or avoid.
    pub affinity: Option<Affinity>,
    /// How the pods are spread; empty for the default.
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// The name of a `PriorityClass`.
    pub priority_class_name: Option<String>,
}

impl PoolConfig {
    /// Overlays the settings of all pools by those of a namespace.
    ///
    /// # Errors
    ///
    /// [`Invalid`] when the pool is to be scaled, and its resources have no processor time of which
    /// an autoscaler could take a share.
    pub fn of(settings: &PoolSettings, pool: Option<&ValidPool>) -> Result<Self, Invalid> {
        let default = ValidPool::default();
        let pool = pool.unwrap_or(&default);
        let pods = match pool.replicas {
            None => PodCount::Fixed(settings.replicas),
            Some(scale) if scale.min == scale.max => PodCount::Fixed(scale.min),
            Some(scale) => PodCount::Scaled(scale),
        };
        let resources = pool.resources.as_ref().unwrap_or(&settings.resources);
        if matches!(pods, PodCount::Scaled(_)) && !requests_cpu(resources) {
            return Err(Invalid {
                field: "spec.resources".to_owned(),
                message: NO_CPU_REQUEST.to_owned(),
            });
        }
        let or =
            |own: &Option<Quantity>, all: &Quantity| own.clone().unwrap_or_else(|| all.clone());
        let runtime_class = pool.runtime_class_name.as_ref();
        Ok(Self {
            settings: PoolSettings {
                runtime_class: runtime_class.or(settings.runtime_class.as_ref()).cloned(),
                resources: resources.clone(),
                state_size: or(&pool.state_size, &settings.state_size),
                cache_size: or(&pool.cache_size, &settings.cache_size),
                ..settings.clone()
            },
            pods,
            node_selector: pool.node_selector.clone(),
            tolerations: pool.tolerations.clone(),
            affinity: pool.affinity.clone(),
            topology_spread_constraints: pool.topology_spread_constraints.clone(),
            priority_class_name: pool.priority_class_name.clone(),
        })
    }
}
