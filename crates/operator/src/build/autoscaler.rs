//! Builds a `HorizontalPodAutoscaler` for a Deployment, by the processor time of its main container.
//!
//! Sidecars do not count: an average over all containers needs a request of each of them.

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricSource, CrossVersionObjectReference, HorizontalPodAutoscaler,
    HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sampan_crd::ValidScale;

/// Builds the autoscaler of the Deployment that has the name in `metadata`.
pub(super) fn autoscaler(
    metadata: ObjectMeta,
    container: &str,
    scale: ValidScale,
) -> HorizontalPodAutoscaler {
    HorizontalPodAutoscaler {
        spec: HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: metadata.name.clone().unwrap_or_default(),
            },
            min_replicas: Some(scale.min),
            max_replicas: scale.max,
            metrics: Some(vec![MetricSpec {
                type_: "ContainerResource".to_owned(),
                container_resource: Some(ContainerResourceMetricSource {
                    container: container.to_owned(),
                    name: "cpu".to_owned(),
                    target: MetricTarget {
                        type_: "Utilization".to_owned(),
                        average_utilization: Some(scale.cpu_utilization),
                        ..MetricTarget::default()
                    },
                }),
                ..MetricSpec::default()
            }]),
            behavior: None,
        },
        metadata,
        status: None,
    }
}
