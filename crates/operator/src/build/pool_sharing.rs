//! Builds what the pods of a pool need to share compiled modules: the Secret with their key, and the Service by which
//! they find each other.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{
    ContainerPort, Secret, SecretVolumeSource, Service, ServicePort, ServiceSpec, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sampan_crd::{POOL, POOL_KEY, POOL_KEY_ENTRY, POOL_PEER_PORT};

/// Where a pod has the key.
const KEY: (&str, &str) = ("key", "/etc/sampan/key");

/// The port of a pod that gives modules to others.
const PORT_NAME: &str = "modules";

/// The Service, which has no address of its own: its name has the addresses of all pods. Pods that are not ready yet
/// are among them, so that those that start together compile each module once.
pub(super) fn peer_service(metadata: ObjectMeta, selector: BTreeMap<String, String>) -> Service {
    Service {
        metadata,
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(selector),
            ports: Some(vec![ServicePort {
                name: Some(PORT_NAME.to_owned()),
                port: POOL_PEER_PORT.into(),
                target_port: Some(IntOrString::String(PORT_NAME.to_owned())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// The Secret with a new key. It is not immutable: a kubelet with an old pod would give an immutable one of the same name
/// to new pods with its old value.
pub(crate) fn key_secret(labels: Option<BTreeMap<String, String>>, key: Vec<u8>) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(POOL_KEY.to_owned()),
            labels,
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(
            POOL_KEY_ENTRY.to_owned(),
            ByteString(key),
        )])),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// The arguments by which a pod shares modules.
pub(super) fn arguments() -> [String; 2] {
    [
        format!("--peer-key={}/{POOL_KEY_ENTRY}", KEY.1),
        format!("--peers={POOL}:{POOL_PEER_PORT}"),
    ]
}

pub(super) fn container_port() -> ContainerPort {
    ContainerPort {
        name: Some(PORT_NAME.to_owned()),
        container_port: POOL_PEER_PORT.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

pub(super) fn volume() -> Volume {
    Volume {
        name: KEY.0.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(POOL_KEY.to_owned()),
            // The pool is not the owner of its files.
            default_mode: Some(0o444),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

pub(super) fn mount() -> VolumeMount {
    VolumeMount {
        name: KEY.0.to_owned(),
        mount_path: KEY.1.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}
