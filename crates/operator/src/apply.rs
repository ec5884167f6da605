//! Makes the cluster as it is wanted, and leaves alone what is so already.
//!
//! Every change is a server-side apply under one field manager: the fields that others set stay theirs.
//! What is no longer wanted is deleted, by its identity. An object of the same name that is not the
//! function's is never touched.

mod decision;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::build::{Desired, Identity};
use crate::caches::Observed;
use crate::difference;
use crate::failure::{Failure, Request, Trouble};
use crate::memory::{Change, Memory};
use crate::refusal::Refusal;
use decision::{Decision, decide, version};

/// The field manager of all that the operator writes.
pub(crate) const MANAGER: &str = "sampan-operator";

/// The annotation with the digest of what was wanted when an object was last written.
const APPLIED: &str = "sampan.dev/applied";

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// The Deployment as it is now, when it was written.
    pub(crate) deployment: Option<Deployment>,
    /// The first thing that was refused.
    pub(crate) refusal: Option<Refusal>,
    /// Something has to be looked at again after this time.
    pub(crate) again: Option<Duration>,
}

/// Where to apply, and for which function.
pub(crate) struct Applier<'a> {
    pub(crate) client: &'a Client,
    pub(crate) memory: &'a Memory,
    pub(crate) identity: &'a Identity,
}

/// What became of one object.
enum Outcome<K> {
    Kept,
    Written(Box<K>),
    Later(Duration),
}

impl Applier<'_> {
    /// Makes everything as it is wanted. What is refused keeps nothing else from being made.
    pub(crate) async fn apply(
        &self,
        desired: Desired,
        observed: &Observed,
    ) -> Result<Applied, Failure> {
        let Desired {
            deployment,
            service,
            ingress,
        } = desired;
        let mut applied = Applied::default();
        applied.take(self.one(&service, observed.service.as_ref()).await)?;
        let deployment = self.one(&deployment, observed.deployment.as_ref()).await;
        applied.deployment = applied.take(deployment)?;
        match ingress {
            Some(ingress) => {
                applied.take(self.one(&ingress, observed.ingress.as_ref()).await)?;
            }
            None => {
                applied.take(self.remove(observed.ingress.as_ref()).await)?;
            }
        }
        Ok(applied)
    }

    async fn one<K>(&self, desired: &K, observed: Option<&Arc<K>>) -> Result<Outcome<K>, Trouble>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        let wanted = serde_json::to_value(desired).expect("an object of Kubernetes can be written");
        let digest = difference::digest(&wanted);
        let kind = kind::<K>();
        let change = self.memory.change(&self.identity.uid, kind);
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
            Decision::Taken => return Err(Trouble::Refused(self.taken::<K>())),
            // The cache may be behind, and an apply would take over what is somebody else's.
            Decision::Look => {
                let found = self.api::<K>().get_metadata_opt(&self.identity.name).await;
                let found = match found {
                    Ok(found) => found,
                    Err(error) => {
                        return Err(self.request("get").trouble::<K>(self.client, error).await);
                    }
                };
                if let Some(found) = found {
                    let found = serde_json::to_value(&found).expect("metadata can be written");
                    if !decision::is_ours(&found, &self.identity.uid) {
                        return Err(Trouble::Refused(self.taken::<K>()));
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
            Err(error) => return Err(self.request("patch").trouble::<K>(self.client, error).await),
        };
        let became =
            serde_json::to_value(&written).expect("an object of Kubernetes can be written");
        let change = Change {
            became: difference::digest(&difference::projection(&wanted, &became)),
            wanted: digest,
            version: version(&became),
            at: Instant::now(),
            repeats: 0,
        };
        self.memory.changed(&self.identity.uid, kind, change);
        Ok(Outcome::Written(Box::new(written)))
    }

    /// Deletes what is there and no longer wanted.
    async fn remove(&self, observed: Option<&Arc<Ingress>>) -> Result<Outcome<Ingress>, Trouble> {
        let Some(ingress) = observed else {
            return Ok(Outcome::Kept);
        };
        let value =
            serde_json::to_value(&**ingress).expect("an object of Kubernetes can be written");
        let leaving = ingress.metadata.deletion_timestamp.is_some();
        if leaving || !decision::is_ours(&value, &self.identity.uid) {
            return Ok(Outcome::Kept);
        }
        // Another one of that name, made meanwhile, is not meant.
        let parameters = DeleteParams::default().preconditions(Preconditions {
            uid: ingress.metadata.uid.clone(),
            resource_version: None,
        });
        match self
            .api::<Ingress>()
            .delete(&self.identity.name, &parameters)
            .await
        {
            Ok(_) => Ok(Outcome::Kept),
            // It is gone already, or it is another one.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Outcome::Kept),
            Err(error) => Err(self
                .request("delete")
                .trouble::<Ingress>(self.client, error)
                .await),
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

    fn taken<K: Resource<DynamicType = ()>>(&self) -> Refusal {
        Refusal::NameTaken {
            what: format!("{} {}", K::kind(&()), self.identity.name),
        }
    }
}

impl Applied {
    /// Takes in what became of one object.
    fn take<K>(&mut self, outcome: Result<Outcome<K>, Trouble>) -> Result<Option<K>, Failure> {
        match outcome {
            Ok(Outcome::Kept) | Err(Trouble::Ending) => Ok(None),
            Ok(Outcome::Written(object)) => Ok(Some(*object)),
            Ok(Outcome::Later(wait)) => {
                self.again = Some(self.again.map_or(wait, |again| again.min(wait)));
                Ok(None)
            }
            Err(Trouble::Refused(refusal)) => {
                self.refusal.get_or_insert(refusal);
                Ok(None)
            }
            Err(Trouble::Failed(failure)) => Err(failure),
        }
    }
}

fn kind<K: Resource<DynamicType = ()>>() -> &'static str {
    match K::kind(&()) {
        std::borrow::Cow::Borrowed(kind) => kind,
        std::borrow::Cow::Owned(_) => "object",
    }
}

/// The annotation of an object's last writing.
fn applied(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"].get(APPLIED)?.as_str()
}
