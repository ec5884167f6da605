//! What there is to be in the cluster for one function: its Deployment, its Service, its Ingress.
//!
//! A plain function of the checked resource; it knows no API server and no time. Refuses raw input.

mod deployment;
mod ingress;
mod pod;
mod resources;
mod service;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use sampan_crd::{FUNCTION_LABEL, MANAGED_BY, ValidFunction, WasmFunction};

/// Which resource something is made for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its name, which becomes that of everything made for it.
    pub name: String,
    /// Its identity in time: a resource of the same name that is made later is another one.
    pub uid: String,
}

/// What is the same for every function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a pod that is to end goes on taking requests, so that whoever has not heard of its end
    /// yet still gets an answer. Whole seconds; zero for not at all.
    pub drain_delay: Duration,
}

/// Everything that there is to be for one function. Whoever applies it takes it apart by name, so
/// that nothing is forgotten.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Its pods.
    pub deployment: Deployment,
    /// Its name and address inside of the cluster.
    pub service: Service,
    /// Its place outside; `None` when there is to be none.
    pub ingress: Option<Ingress>,
}

/// Builds everything for one function.
pub fn build(identity: &Identity, function: &ValidFunction, settings: Settings) -> Desired {
    Desired {
        deployment: deployment::deployment(identity, function, settings),
        service: service::service(identity),
        ingress: (function.ingress.as_ref()).map(|ingress| ingress::ingress(identity, ingress)),
    }
}

/// The labels by which everything of one function is found; never changed, since selectors cannot be.
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

/// What every object of a function has: its name, labels and owner.
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
