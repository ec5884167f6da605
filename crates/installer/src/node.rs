//! Node object in Kubernetes: its runtime handlers, and the label of nodes with the runtime.
//!
//! Only that label is changed.

use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::error::Error;
use crate::runtimes::RUNTIME;

/// One node.
#[derive(Clone)]
pub(crate) struct Kubernetes {
    nodes: Api<Node>,
    name: String,
    label: String,
}

impl Kubernetes {
    /// Connects to the node with this name, by the pod's service account or the user's kubeconfig.
    pub(crate) async fn connect(name: &str, label: &str) -> Result<Self, Error> {
        let client = Client::try_default()
            .await
            .map_err(|error| Error::NoKubernetes(Box::new(error)))?;
        Ok(Self {
            nodes: Api::all(client),
            name: name.to_owned(),
            label: label.to_owned(),
        })
    }

    /// Whether the node offers the runtime; `None` if it does not report its handlers, as with
    /// containerd 1.7.
    pub(crate) async fn offers(&self) -> Result<Option<bool>, Error> {
        let node = self
            .nodes
            .get(&self.name)
            .await
            .map_err(|error| self.failed("read", error))?;
        let handlers = node.status.and_then(|status| status.runtime_handlers);
        let handlers = handlers.unwrap_or_default();
        if handlers.is_empty() {
            return Ok(None);
        }
        let ours = |name: &Option<String>| name.as_deref() == Some(RUNTIME);
        Ok(Some(handlers.iter().any(|handler| ours(&handler.name))))
    }

    /// Adds the label to the node, or removes it.
    pub(crate) async fn set_label(&self, on: bool) -> Result<(), Error> {
        let value = on.then_some("true");
        let patch = json!({"metadata": {"labels": {&self.label: value}}});
        let patched = self
            .nodes
            .patch(&self.name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        patched
            .map(drop)
            .map_err(|error| self.failed("labelled", error))
    }

    fn failed(&self, what: &'static str, error: kube::Error) -> Error {
        Error::Kubernetes {
            what,
            node: self.name.clone(),
            source: Box::new(error),
        }
    }
}
