//! Leaves the number of a Deployment's pods to an autoscaler without changing it.
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
    /// Applies a Deployment without a number of pods. One that exists keeps its number.
    pub(crate) async fn apply_scaled(
        &self,
        desired: &Deployment,
        observed: Option<&Arc<Deployment>>,
    ) -> Result<Outcome<Deployment>, ReconcileError> {
        let is_changed = |there: &Arc<Deployment>| {
            applied_digest(there) != Some(desired_digest(desired).as_str())
        };
        if observed.is_some_and(is_changed) {
            self.keep_replicas().await?;
        }
        self.apply_object(desired, observed).await
    }

    async fn keep_replicas(&self) -> Result<(), ReconcileError> {
        let Some(live) = self.read::<Deployment>().await? else {
            return Ok(());
        };
        let value = serde_json::to_value(&*live).expect("an object of Kubernetes can be written");
        if !owns_replicas(&live) || !decision::is_owned(&value, &self.identity.uid) {
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

    use super::owns_replicas;

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
}
