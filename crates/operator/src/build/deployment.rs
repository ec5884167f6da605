//! Builds the Deployment of a function.

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sampan_crd::ValidFunction;

use super::{Identity, Settings, metadata, pod, selector};

/// Earlier versions that Kubernetes keeps for `kubectl rollout undo`. The resource remains the
/// source.
const HISTORY: i32 = 3;

pub(super) fn deployment(
    identity: &Identity,
    function: &ValidFunction,
    settings: Settings,
) -> Deployment {
    Deployment {
        metadata: metadata(identity),
        spec: Some(DeploymentSpec {
            // Absent unless the resource sets it: the field then belongs to an autoscaler.
            replicas: function.replicas,
            revision_history_limit: Some(HISTORY),
            selector: LabelSelector {
                match_labels: Some(selector(identity)),
                ..LabelSelector::default()
            },
            // A pod starts before another one stops, so that every request is answered.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::String("25%".to_owned())),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: pod::pod(identity, function, settings),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}
