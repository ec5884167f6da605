//! Builds the Service of a function: its name inside of the cluster.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Identity, metadata, selector};

/// The port of the Service.
const PORT: i32 = 80;

pub(super) fn service(identity: &Identity) -> Service {
    Service {
        metadata: metadata(identity),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(selector(identity)),
            ports: Some(vec![ServicePort {
                name: Some("http".to_owned()),
                port: PORT,
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::String("http".to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
