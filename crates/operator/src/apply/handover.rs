//! Leaves the number of a Deployment's pods to an autoscaler without changing it.
//!
//! A new Deployment has the fewest pods of the autoscaler from the beginning: with one pod, it would
//! count as available before the autoscaler acts, and get the whole load.
//!
//! A field that a server-side apply no longer contains, and that has no other owner, falls back to
//! its default: one pod. So a second field manager takes the present number before the operator's
//! own manager gives it up.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{Applier, MANAGER, Outcome, applied_digest, decision, desired_digest};
use crate::failure::ReconcileError;

/// The field manager that keeps the number of pods until an autoscaler changes it.
const REPLICAS_MANAGER: &str = "sampan-operator-replicas";

impl Applier<'_> {
    /// Applies a Deployment that has no number of pods. One that exists keeps its number, and a new
    /// one begins with `least`; the next call leaves that number to the autoscaler.
    pub(crate) async fn apply_scaled(
        &self,
        desired: &Deployment,
        least: i32,
        observed: Option<&Arc<Deployment>>,
    ) -> Result<Outcome<Deployment>, ReconcileError> {
        let digest = desired_digest(desired);
        if observed.is_some_and(|there| applied_digest(there) == Some(&digest)) {
            return self.apply_object(desired, observed).await;
        }
        // A cache that is behind must not reset the number of a Deployment that exists.
        let Some(live) = self.read::<Deployment>().await? else {
            let mut first = desired.clone();
            if let Some(spec) = &mut first.spec {
                spec.replicas = Some(least);
            }
            return self.apply_object(&first, None).await;
        };
        self.keep_replicas(&live).await?;
        self.apply_object(desired, Some(&live)).await
    }

    async fn keep_replicas(&self, live: &Deployment) -> Result<(), ReconcileError> {
        let value = serde_json::to_value(live).expect("an object of Kubernetes can be written");
        if !keeps_replicas(live) || !decision::is_owned(&value, &self.identity.uid) {
            return Ok(());
        }
        // Fails if the number has changed since it was read; the next attempt reads it again.
        let body = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": live.name_any(), "resourceVersion": live.resource_version() },
            "spec": { "replicas": live.spec.as_ref().and_then(|spec| spec.replicas) },
        });
        let parameters = PatchParams::apply(REPLICAS_MANAGER);
        let kept = self
            .api::<Deployment>()
            .patch(&self.identity.name, &parameters, &Patch::Apply(&body))
            .await;
        match kept {
            Ok(_) => Ok(()),
            Err(error) => Err(self
                .request("patch")
                .classify::<Deployment>(self.client, error)
                .await),
        }
    }
}

/// Whether the number of pods has to be kept. An autoscaler leaves a Deployment without pods alone, so
/// that zero would stay for ever: it falls back to the default instead.
fn keeps_replicas(deployment: &Deployment) -> bool {
    let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas);
    replicas != Some(0) && owns_replicas(deployment)
}

/// Whether the number of pods would fall back to its default without the operator's value.
fn owns_replicas(deployment: &Deployment) -> bool {
    let entries = deployment.metadata.managed_fields.iter().flatten();
    let mut owned = entries.filter(|entry| {
        entry.manager.as_deref() == Some(MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().is_none_or(str::is_empty)
    });
    owned.any(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        fields.is_some_and(|fields: &Value| fields["f:spec"].get("f:replicas").is_some())
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use serde_json::{Value, json};

    use super::{keeps_replicas, owns_replicas};

    #[test]
    fn the_owner_of_the_number_is_found_in_the_managed_fields() {
        fn check(entries: &[Value], expected: bool) {
            let deployment: Deployment = serde_json::from_value(json!({
                "metadata": { "name": "f", "managedFields": entries },
            }))
            .expect("a Deployment");
            assert_eq!(owns_replicas(&deployment), expected, "{entries:?}");
        }
        let entry = |manager: &str, operation: &str, fields: Value| json!({ "manager": manager, "operation": operation, "fieldsV1": fields });
        let replicas = json!({ "f:spec": { "f:replicas": {}, "f:template": {} } });
        let template = json!({ "f:spec": { "f:template": {} } });
        let (by, operator) = ("Apply", "sampan-operator");
        check(&[], false);
        check(&[entry(operator, by, replicas.clone())], true);
        check(&[entry(operator, by, template.clone())], false);
        check(&[entry(operator, "Update", replicas.clone())], false);
        let others = entry("kube-controller-manager", "Update", replicas);
        check(&[others, entry(operator, by, template)], false);
    }

    #[test]
    fn no_pods_are_no_number_to_keep() {
        let check = |replicas: i32, expected| {
            let deployment: Deployment = serde_json::from_value(json!({
                "metadata": { "name": "f", "managedFields": [{
                    "manager": "sampan-operator", "operation": "Apply",
                    "fieldsV1": { "f:spec": { "f:replicas": {} } },
                }] },
                "spec": { "replicas": replicas, "selector": {}, "template": {} },
            }))
            .expect("a Deployment");
            assert_eq!(keeps_replicas(&deployment), expected, "{replicas}");
        };
        check(0, false);
        check(1, true);
        check(3, true);
    }
}
