//! Applies the desired objects to the cluster, and skips those that are unchanged.
//!
//! Every change is a server-side apply under one field manager, so that other managers keep their
//! fields. Objects that are no longer desired are deleted by UID. An object with the same name and
//! another owner is never changed.

mod decision;
mod handover;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::build::{Desired, Identity};
use crate::caches::Observed;
use crate::difference;
use crate::failure::{Failure, ReconcileError, Request};
use crate::history::{Change, History};
use crate::placement::PodsAction;
use crate::refusal::Refusal;
use decision::{Decision, decide, version};

/// The field manager of all writes of the operator.
pub(crate) const MANAGER: &str = "sampan-operator";

/// The annotation with the digest of the desired object at its last write.
const APPLIED: &str = "sampan.dev/applied";

/// The result of applying.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// The current Deployment, if it was written.
    pub(crate) deployment: Option<Deployment>,
    /// Whether the Service is as desired now.
    pub(crate) has_service: bool,
    /// Whether the Service was changed for that.
    pub(crate) service_written: bool,
    /// The first refusal.
    pub(crate) refusal: Option<Refusal>,
    /// The time after which an object must be checked again.
    pub(crate) requeue_after: Option<Duration>,
}

/// Applies the objects of one function.
pub(crate) struct Applier<'a> {
    pub(crate) client: &'a Client,
    pub(crate) history: &'a History,
    pub(crate) identity: &'a Identity,
}

/// The result for one object.
pub(crate) enum Outcome<K> {
    Kept,
    Written(Box<K>),
    Later(Duration),
}

/// An object of a namespace, of a kind that the operator applies.
pub(crate) trait Managed:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
{
}

impl<K> Managed for K where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
{
}

impl Applier<'_> {
    /// Applies all objects but the autoscaler. A refused one does not stop the others.
    pub(crate) async fn apply(
        &self,
        desired: Desired,
        pods: PodsAction,
        observed: &Observed,
    ) -> Result<Applied, Failure> {
        let Desired {
            deployment,
            service,
            autoscaler,
            ingress,
        } = desired;
        let mut applied = Applied::default();
        let outcome = self.apply_object(&service, observed.service.as_ref()).await;
        applied.has_service = matches!(outcome, Ok(Outcome::Kept | Outcome::Written(_)));
        applied.service_written = matches!(outcome, Ok(Outcome::Written(_)));
        applied.record(outcome)?;
        let there = observed.deployment.as_ref();
        match pods {
            PodsAction::Apply => {
                let deployment = match autoscaler {
                    Some(autoscaler) => {
                        let least = autoscaler.spec.min_replicas.unwrap_or(1);
                        self.apply_scaled(&deployment, least, there).await
                    }
                    None => self.apply_object(&deployment, there).await,
                };
                applied.deployment = applied.record(deployment)?;
            }
            PodsAction::Leave => {}
            PodsAction::Remove => {
                applied.record(self.remove(there).await)?;
            }
        }
        match ingress {
            Some(ingress) => {
                applied.record(self.apply_object(&ingress, observed.ingress.as_ref()).await)?;
            }
            None => {
                applied.record(self.remove(observed.ingress.as_ref()).await)?;
            }
        }
        Ok(applied)
    }

    /// Applies one object.
    pub(crate) async fn apply_object<K: Managed>(
        &self,
        desired: &K,
        observed: Option<&Arc<K>>,
    ) -> Result<Outcome<K>, ReconcileError> {
        let wanted = serde_json::to_value(desired).expect("an object of Kubernetes can be written");
        let digest = difference::digest(&wanted);
        let kind = kind::<K>();
        let change = self.history.change(&self.identity.uid, kind);
        let observed = observed.map(|object| {
            serde_json::to_value(&**object).expect("an object of Kubernetes can be written")
        });
        match decide(
            &wanted,
            &digest,
            observed.as_ref(),
            change.as_ref(),
            &self.identity.uid,
        ) {
            Decision::Keep => return Ok(Outcome::Kept),
            Decision::Later(wait) => return Ok(Outcome::Later(wait)),
            Decision::Taken => return Err(ReconcileError::Refused(self.name_taken::<K>())),
            // The cache may be behind, and an apply would take over an object of another owner.
            Decision::CheckOwner => {
                let found = self.api::<K>().get_metadata_opt(&self.identity.name).await;
                let found = match found {
                    Ok(found) => found,
                    Err(error) => {
                        return Err(self.request("get").classify::<K>(self.client, error).await);
                    }
                };
                if let Some(found) = found {
                    let found = serde_json::to_value(&found).expect("metadata can be written");
                    if !decision::is_owned(&found, &self.identity.uid) {
                        return Err(ReconcileError::Refused(self.name_taken::<K>()));
                    }
                }
            }
            Decision::Apply => {}
        }
        let mut body = wanted.clone();
        body["metadata"]["annotations"][APPLIED] = digest.clone().into();
        tracing::debug!(
            kind,
            namespace = self.identity.namespace,
            name = self.identity.name,
            "apply"
        );
        let parameters = PatchParams::apply(MANAGER).force();
        let written = self
            .api::<K>()
            .patch(&self.identity.name, &parameters, &Patch::Apply(&body))
            .await;
        let written = match written {
            Ok(written) => written,
            Err(error) => {
                return Err(self
                    .request("patch")
                    .classify::<K>(self.client, error)
                    .await);
            }
        };
        let result =
            serde_json::to_value(&written).expect("an object of Kubernetes can be written");
        let change = Change {
            result: difference::digest(&difference::projection(&wanted, &result)),
            wanted: digest,
            version: version(&result),
            at: Instant::now(),
            repeats: 0,
        };
        self.history.record(&self.identity.uid, kind, change);
        Ok(Outcome::Written(Box::new(written)))
    }

    /// Deletes an object that is no longer desired, and what it owns.
    pub(crate) async fn remove<K: Managed>(
        &self,
        observed: Option<&Arc<K>>,
    ) -> Result<Outcome<K>, ReconcileError> {
        let Some(object) = observed else {
            return Ok(Outcome::Kept);
        };
        let value =
            serde_json::to_value(&**object).expect("an object of Kubernetes can be written");
        let leaving = object.meta().deletion_timestamp.is_some();
        if leaving || !decision::is_owned(&value, &self.identity.uid) {
            return Ok(Outcome::Kept);
        }
        // Does not delete a new object with the same name.
        let parameters = DeleteParams::background().preconditions(Preconditions {
            uid: object.meta().uid.clone(),
            resource_version: None,
        });
        match self
            .api::<K>()
            .delete(&self.identity.name, &parameters)
            .await
        {
            Ok(_) => Ok(Outcome::Kept),
            // It is already gone, or has been replaced.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Outcome::Kept),
            Err(error) => Err(self
                .request("delete")
                .classify::<K>(self.client, error)
                .await),
        }
    }

    /// Reads an object that no watch follows.
    pub(crate) async fn read<K: Managed>(&self) -> Result<Option<Arc<K>>, ReconcileError> {
        match self.api::<K>().get_opt(&self.identity.name).await {
            Ok(found) => Ok(found.map(Arc::new)),
            Err(error) => Err(self.request("get").classify::<K>(self.client, error).await),
        }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.identity.namespace)
    }

    fn request(&self, verb: &'static str) -> Request<'_> {
        Request {
            verb,
            namespace: &self.identity.namespace,
            name: &self.identity.name,
            subresource: None,
        }
    }

    fn name_taken<K: Resource<DynamicType = ()>>(&self) -> Refusal {
        Refusal::NameTaken {
            what: format!("{} {}", K::kind(&()), self.identity.name),
        }
    }
}

impl Applied {
    /// Records the result of one object.
    pub(crate) fn record<K>(
        &mut self,
        outcome: Result<Outcome<K>, ReconcileError>,
    ) -> Result<Option<K>, Failure> {
        match outcome {
            Ok(Outcome::Kept) | Err(ReconcileError::Ending) => Ok(None),
            Ok(Outcome::Written(object)) => Ok(Some(*object)),
            Ok(Outcome::Later(wait)) => {
                self.requeue_after = Some(self.requeue_after.map_or(wait, |again| again.min(wait)));
                Ok(None)
            }
            Err(ReconcileError::Refused(refusal)) => {
                self.refusal.get_or_insert(refusal);
                Ok(None)
            }
            Err(ReconcileError::Failed(failure)) => Err(failure),
        }
    }
}

fn kind<K: Resource<DynamicType = ()>>() -> &'static str {
    match K::kind(&()) {
        std::borrow::Cow::Borrowed(kind) => kind,
        std::borrow::Cow::Owned(_) => "object",
    }
}

/// The annotation from an object's last write.
fn applied(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"].get(APPLIED)?.as_str()
}

/// The digest of the desired Deployment at its last write.
pub(crate) fn applied_digest(deployment: &Deployment) -> Option<&str> {
    let annotations = deployment.metadata.annotations.as_ref()?;
    annotations.get(APPLIED).map(String::as_str)
}

/// The digest of a desired object, as the annotation has it after a write.
pub(crate) fn desired_digest(desired: &Deployment) -> String {
    let desired = serde_json::to_value(desired).expect("an object of Kubernetes can be written");
    difference::digest(&desired)
}
