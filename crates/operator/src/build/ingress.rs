//! Builds the Ingress of a function: its access from outside of the cluster.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, IngressTLS, ServiceBackendPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sampan_crd::ValidIngress;

use super::{Identity, metadata};

pub(super) fn ingress(identity: &Identity, wanted: &ValidIngress) -> Ingress {
    let annotations = wanted.annotations.iter().cloned().collect();
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: identity.name.clone(),
            port: Some(ServiceBackendPort {
                name: Some("http".to_owned()),
                number: None,
            }),
        }),
        resource: None,
    };
    Ingress {
        metadata: ObjectMeta {
            annotations: (!wanted.annotations.is_empty()).then_some(annotations),
            ..metadata(identity)
        },
        spec: Some(IngressSpec {
            ingress_class_name: wanted.class_name.clone(),
            rules: Some(vec![IngressRule {
                host: Some(wanted.host.clone()),
                http: Some(HTTPIngressRuleValue {
                    paths: vec![HTTPIngressPath {
                        path: Some(wanted.path.clone()),
                        path_type: "Prefix".to_owned(),
                        backend,
                    }],
                }),
            }]),
            tls: wanted.tls.as_ref().map(|secret_name| {
                vec![IngressTLS {
                    hosts: Some(vec![wanted.host.clone()]),
                    secret_name: secret_name.clone(),
                }]
            }),
            ..IngressSpec::default()
        }),
        status: None,
    }
}
