//! Automatic scaling by processor time: the fields, and their check.

use k8s_openapi::api::core::v1::ResourceRequirements;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::invalid::Invalid;

/// The most pods of a function or of a pool that the cluster scales.
const MAX_PODS: i32 = 1_000;

/// The target without one in the resource, in percent.
const DEFAULT_CPU_UTILIZATION: i32 = 80;

/// The most percent. A pod without a limit may use many times what it requests.
const MAX_CPU_UTILIZATION: i32 = 10_000;

/// Automatic scaling of a function's own pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// The fewest pods, 1 to 1000. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000))]
    pub min: Option<i32>,
    /// The most pods, min to 1000.
    #[schemars(range(min = 1, max = 1_000))]
    pub max: i32,
    /// The use of the pods to aim at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ScaleTarget>,
}

/// The use of the pods that a HorizontalPodAutoscaler aims at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ScaleTarget {
    /// The processor time of the pods on average, in percent of what they request, 1 to 10000.
    /// Default: 80. It is averageUtilization of a HorizontalPodAutoscaler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub cpu_utilization: Option<i32>,
}

/// A validated range of pods, within which a HorizontalPodAutoscaler chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValidScale {
    /// The fewest pods, at least 1.
    pub min: i32,
    /// The most pods, not less than the fewest.
    pub max: i32,
    /// The processor time to aim at, in percent of the request.
    pub cpu_utilization: i32,
}

impl ValidScale {
    /// Checks a range of pods and its target. `path` is that of the range, such as `spec.replicas`;
    /// `target_path` is that of the target.
    pub(crate) fn of(
        (path, min, max): (&str, i32, i32),
        (target_path, target): (&str, Option<&ScaleTarget>),
    ) -> Result<Self, Invalid> {
        for (key, count) in [("min", min), ("max", max)] {
            if !(1..=MAX_PODS).contains(&count) {
                let message = format!("{count} is not allowed (1 to {MAX_PODS})");
                return Err(Invalid::new(format!("{path}.{key}"), message));
            }
        }
        if max < min {
            let message = format!("{max} is less than min, which is {min}");
            return Err(Invalid::new(format!("{path}.max"), message));
        }
        let wanted = target.and_then(|target| target.cpu_utilization);
        let cpu_utilization = wanted.unwrap_or(DEFAULT_CPU_UTILIZATION);
        if !(1..=MAX_CPU_UTILIZATION).contains(&cpu_utilization) {
            return Err(Invalid::new(
                format!("{target_path}.cpuUtilization"),
                format!("{cpu_utilization} is not allowed (1 to {MAX_CPU_UTILIZATION})"),
            ));
        }
        Ok(Self {
            min,
            max,
            cpu_utilization,
        })
    }
}

/// The message for a number of pods beside automatic scaling.
const EXCLUDED: &str = "the number of pods is either fixed or scaled: leave replicas out, or scale";

/// The message for a range that has no number.
pub(crate) const RANGE: &str = "max is less than min";

/// The validation rule of a function's `spec`, in CEL.
pub(crate) fn rule() -> Value {
    json!({
        "rule": "!has(self.replicas) || !has(self.scale)", "message": EXCLUDED, "fieldPath": ".scale",
    })
}

/// Checks the scaling of a function with these resources of its own container, if any are set.
pub(crate) fn check(
    scale: &Scale,
    replicas: Option<i32>,
    resources: Option<&ResourceRequirements>,
) -> Result<ValidScale, Invalid> {
    if replicas.is_some() {
        return Err(Invalid::new("spec.scale", EXCLUDED));
    }
    // The default resources have a request.
    if resources.is_some_and(|resources| !requests_cpu(resources)) {
        return Err(Invalid::new("spec.template.resources", NO_CPU_REQUEST));
    }
    let range = ("spec.scale", scale.min.unwrap_or(1), scale.max);
    ValidScale::of(range, ("spec.scale.target", scale.target.as_ref()))
}

/// The message for resources without processor time of which an autoscaler could take a share.
pub const NO_CPU_REQUEST: &str =
    "automatic scaling needs a request of processor time: set requests.cpu";

/// Whether a container requests processor time. A limit without a request is one as well.
pub fn requests_cpu(resources: &ResourceRequirements) -> bool {
    let amounts = [&resources.requests, &resources.limits];
    let mut amounts = amounts.into_iter().flatten();
    amounts.any(|amounts| amounts.contains_key("cpu"))
}
