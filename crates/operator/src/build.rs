//! Builds the desired objects of a function: its Deployment, its Service, its autoscaler, its
//! Ingress; and those of a pool.
//!
//! Pure functions of the validated resource, its place, and the settings.

mod autoscaler;
mod deployment;
mod ingress;
mod pod;
mod pool;
mod pool_config;
mod pool_sharing;
mod resources;
mod service;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use sampan_crd::{CONTAINER, FUNCTION_LABEL, MANAGED_BY, ValidFunction, WasmFunction};

pub use pool::{PoolObjects, pool};
pub use pool_config::{PodCount, PoolConfig, PoolSettings};
pub(crate) use pool_sharing::key_secret;
pub(crate) use resources::memory_advice;
pub use service::service;

use crate::backend::Backend;

/// The identity of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its name, which is also that of every object made for it.
    pub name: String,
    /// Its UID, which distinguishes it from a later resource with the same name.
    pub uid: String,
}

/// Settings for all functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a terminating pod accepts requests, until all proxies have removed it. Whole
    /// seconds; zero disables the delay.
    pub drain_delay: Duration,
}

/// The desired objects of one function. Callers destructure it by name, so that none is forgotten.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Its pods.
    pub deployment: Deployment,
    /// Its name and address inside of the cluster.
    pub service: Service,
    /// What chooses the number of its pods; `None` without one.
    pub autoscaler: Option<HorizontalPodAutoscaler>,
    /// Its access from outside; `None` without one.
    pub ingress: Option<Ingress>,
}

/// Builds the objects of one function that is served by pods of its own. The Service of a pooled
/// one is [`service`].
pub fn build(identity: &Identity, function: &ValidFunction, settings: Settings) -> Desired {
    Desired {
        deployment: deployment::deployment(identity, function, settings),
        service: service(identity, Backend::Pods),
        autoscaler: (function.scale)
            .map(|scale| autoscaler::autoscaler(metadata(identity), CONTAINER, scale)),
        ingress: (function.ingress.as_ref()).map(|ingress| ingress::ingress(identity, ingress)),
    }
}

/// The labels of all objects of one function. They never change, since selectors cannot.
pub(crate) fn selector(identity: &Identity) -> BTreeMap<String, String> {
    BTreeMap::from([(FUNCTION_LABEL.to_owned(), identity.name.clone())])
}

fn labels(identity: &Identity) -> BTreeMap<String, String> {
    let (managed_by, operator) = MANAGED_BY;
    let mut labels = selector(identity);
    labels.insert(managed_by.to_owned(), operator.to_owned());
    labels.insert("app.kubernetes.io/name".to_owned(), identity.name.clone());
    labels
}

/// The metadata of every object of a function: name, labels and owner.
fn metadata(identity: &Identity) -> ObjectMeta {
    use kube::Resource as _;
    ObjectMeta {
        name: Some(identity.name.clone()),
        namespace: Some(identity.namespace.clone()),
        labels: Some(labels(identity)),
        owner_references: Some(vec![OwnerReference {
            api_version: WasmFunction::api_version(&()).into_owned(),
            kind: WasmFunction::kind(&()).into_owned(),
            name: identity.name.clone(),
            uid: identity.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }]),
        ..ObjectMeta::default()
    }
}
