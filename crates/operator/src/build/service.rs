//! Builds the Service of a function: its name inside of the cluster.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Identity, metadata, pool, selector};
use crate::backend::{Backend, SERVICE_PORT};

/// Builds the Service of a function. Its name and its port stay when it moves.
pub fn service(identity: &Identity, backend: Backend) -> Service {
    let (selector, target) = match backend {
        Backend::Pods => (selector(identity), IntOrString::String("http".to_owned())),
        Backend::Pool(port) => (pool::selector(), IntOrString::Int(port.into())),
    };
    Service {
        metadata: metadata(identity),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(selector),
            ports: Some(vec![ServicePort {
                name: Some("http".to_owned()),
                port: SERVICE_PORT,
                protocol: Some("TCP".to_owned()),
                target_port: Some(target),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
