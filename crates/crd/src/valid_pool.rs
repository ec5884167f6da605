//! Validates a `WasmPool`.
//!
//! The first invalid value is reported, with its field. Kubernetes' own types are left to the API
//! server. Its errors become a condition.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, ResourceRequirements, Toleration, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::invalid::{Invalid, check_size};
use crate::scale::ValidScale;
use crate::wasm_pool::{PoolReplicas, WasmPool, WasmPoolSpec};

/// The name of the resource that configures the pool of its namespace.
pub const DEFAULT_POOL: &str = "default";

/// The most bytes of a resource, as the objects made from it must fit the cluster's store.
const MAX_BYTES: usize = 256 * 1024;

/// Validated settings of a pool. An absent one is that of the chart.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ValidPool {
    /// The number of pods. A range of one number has no autoscaler.
    pub replicas: Option<ValidScale>,
    /// Requests and limits of each pod.
    pub resources: Option<ResourceRequirements>,
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
    /// The name of a `RuntimeClass`.
    pub runtime_class_name: Option<String>,
    /// The most disk of compiled modules.
    pub cache_size: Option<Quantity>,
    /// The most memory of what is kept for a restart.
    pub state_size: Option<Quantity>,
}

impl ValidPool {
    /// Validates a resource.
    ///
    /// # Errors
    ///
    /// [`Invalid`] for the first value that is not allowed.
    pub fn of(resource: &WasmPool) -> Result<Self, Invalid> {
        let WasmPoolSpec {
            replicas,
            target,
            resources,
            node_selector,
            tolerations,
            affinity,
            topology_spread_constraints,
            priority_class_name,
            runtime_class_name,
            cache_size,
            state_size,
        } = resource.spec.clone();
        check_size(&resource.spec, MAX_BYTES)?;
        let name = resource.metadata.name.as_deref().unwrap_or_default();
        if name != DEFAULT_POOL {
            return Err(Invalid::new("metadata.name", POOL_NAME));
        }
        let scale = |PoolReplicas { min, max }| {
            let range = ("spec.replicas", min, max.unwrap_or(min));
            ValidScale::of(range, ("spec.target", target.as_ref()))
        };
        let replicas = replicas.map(scale).transpose()?;
        if resources.as_ref().is_some_and(|it| it.claims.is_some()) {
            return Err(Invalid::new("spec.resources.claims", POOL_CLAIMS));
        }
        Ok(Self {
            replicas,
            resources,
            node_selector,
            tolerations,
            affinity,
            topology_spread_constraints,
            priority_class_name: checked_name("spec.priorityClassName", priority_class_name)?,
            runtime_class_name: checked_name("spec.runtimeClassName", runtime_class_name)?,
            cache_size: checked_size("spec.cacheSize", cache_size)?,
            state_size: checked_size("spec.stateSize", state_size)?,
        })
    }
}

/// The message for another name.
pub(crate) const POOL_NAME: &str =
    "the pool of a namespace is configured by the resource with the name default";

/// The message for claims.
pub(crate) const POOL_CLAIMS: &str = "the pods of a pool have no resource claims: leave claims out";

fn checked_name(field: &str, name: Option<String>) -> Result<Option<String>, Invalid> {
    match name {
        Some(name) if name.is_empty() => Err(Invalid::new(field, "it is empty")),
        name => Ok(name),
    }
}

fn checked_size(field: &str, size: Option<String>) -> Result<Option<Quantity>, Invalid> {
    let parsed = size.map(|size| pool_size(&size)).transpose();
    parsed.map_err(|message| Invalid::new(field, message))
}

/// Parses a size that is more than nothing, such as 256Mi.
///
/// # Errors
///
/// A text that says what is expected.
pub fn pool_size(text: &str) -> Result<Quantity, String> {
    let digits = text.find(|it: char| !it.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let is_unit = ["", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"].contains(&unit);
    match number.parse::<u64>() {
        Ok(number) if number > 0 && is_unit => Ok(Quantity(text.to_owned())),
        _ => Err("a size such as 256Mi is expected".to_owned()),
    }
}
