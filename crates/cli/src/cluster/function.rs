//! A `WasmFunction` as the commands read it from the cluster.
//!
//! It reads only fields that commands show and ignores all others, without validation.

use kube::api::DynamicObject;
use sampan_crd::{ConditionKind, Placement, PlacementPolicy, WasmFunctionStatus};
use serde::Deserialize;

use crate::exit::Exit;
use crate::failure::Failure;

/// A function in a cluster.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ClusterFunction {
    /// Its name.
    pub(crate) name: String,
    /// Its namespace.
    pub(crate) namespace: String,
    /// The UID, which distinguishes it from other functions with its name.
    pub(crate) uid: Option<String>,
    /// The generation of its spec.
    pub(crate) generation: i64,
    /// The time of its creation, in seconds since 1970.
    pub(crate) created: Option<i64>,
    /// Whether it is being deleted.
    pub(crate) deleting: bool,
    /// The image.
    pub(crate) image: String,
    /// The place that it asks for, as this program or a later one has it; empty for the default.
    pub(crate) placement: String,
    /// The status that the operator wrote.
    pub(crate) status: WasmFunctionStatus,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    spec: RawSpec,
    #[serde(default)]
    status: Option<WasmFunctionStatus>,
}

#[derive(Default, Deserialize)]
struct RawSpec {
    #[serde(default)]
    image: String,
    #[serde(default)]
    placement: String,
}

impl ClusterFunction {
    /// Reads the fields of a resource.
    pub(crate) fn of(object: &DynamicObject) -> Result<Self, Failure> {
        let metadata = &object.metadata;
        let name = metadata.name.clone().unwrap_or_default();
        let raw: Raw = serde_json::from_value(object.data.clone()).map_err(|error| {
            Failure::new(
                Exit::Cluster,
                format!("the resource {name} is not as this program knows it: {error}"),
                "use the version of sampan that the cluster's operator has",
            )
        })?;
        Ok(Self {
            name,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            uid: metadata.uid.clone(),
            generation: metadata.generation.unwrap_or_default(),
            created: (metadata.creation_timestamp.as_ref()).map(|time| time.0.as_second()),
            deleting: metadata.deletion_timestamp.is_some(),
            image: raw.spec.image,
            placement: raw.spec.placement,
            status: raw.status.unwrap_or_default(),
        })
    }

    /// Whether it is ready, if the operator has reported that.
    pub(crate) fn ready(&self) -> Option<bool> {
        let ready = self.status.condition(ConditionKind::Ready)?;
        match ready.status.as_str() {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        }
    }

    /// Whether its load decides where it is served.
    pub(crate) fn is_auto(&self) -> bool {
        self.placement == PlacementPolicy::Auto.as_str()
    }

    /// Whether the pool of its namespace serves it.
    pub(crate) fn is_pooled(&self) -> bool {
        self.status.placement == Some(Placement::Pooled)
    }

    /// The reason and the message of the first condition that is not met.
    pub(crate) fn complaint(&self) -> Option<(&str, &str)> {
        let kinds = [ConditionKind::Accepted, ConditionKind::Ready];
        let mut conditions = kinds
            .into_iter()
            .filter_map(|kind| self.status.condition(kind));
        let unmet = conditions.find(|condition| condition.status != "True")?;
        Some((&unmet.reason, &unmet.message))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use kube::api::DynamicObject;
    use serde_json::{Value, json};

    use super::ClusterFunction;

    /// A condition: kind, status, reason, message, generation.
    pub(crate) type ConditionRow<'a> = (&'a str, &'a str, &'a str, &'a str, i64);

    /// A function named hello with these conditions.
    pub(crate) fn function(generation: i64, conditions: &[ConditionRow<'_>]) -> ClusterFunction {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(kind, status, reason, message, generation)| {
                json!({
                    "type": kind, "status": status, "reason": reason, "message": message,
                    "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z",
                })
            })
            .collect();
        let observed = conditions
            .iter()
            .filter_map(|one| one["observedGeneration"].as_i64())
            .max();
        let object = json!({
            "apiVersion": "sampan.dev/v1alpha1", "kind": "WasmFunction",
            "metadata": {
                "name": "hello", "namespace": "shop", "uid": "u", "generation": generation,
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": { "image": "r.example/hello:1", "tomorrow": { "unknown": true } },
            "status": {
                "observedGeneration": observed, "conditions": conditions, "replicas": 1, "readyReplicas": 1,
                "updatedReplicas": 1, "pods": "1/1", "url": "http://hello.shop.svc", "later": 1,
            },
        });
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        ClusterFunction::of(&object).expect("a function")
    }

    #[test]
    fn a_resource_of_another_version_can_be_read() {
        let function = function(3, &[("Ready", "True", "AllReady", "1 of 1 pods answer", 2)]);
        assert_eq!(
            (function.name.as_str(), function.namespace.as_str()),
            ("hello", "shop")
        );
        assert_eq!(
            (function.generation, function.status.observed_generation),
            (3, Some(2))
        );
        assert_eq!(function.image, "r.example/hello:1");
        assert_eq!(function.created, Some(1_767_225_600));
        assert_eq!(function.ready(), Some(true));
        assert_eq!(function.complaint(), None);
    }

    #[test]
    fn a_new_resource_has_no_status() {
        let object =
            json!({ "metadata": { "name": "new", "namespace": "shop" }, "spec": { "image": "i" } });
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        let function = ClusterFunction::of(&object).expect("a function");
        assert_eq!(
            (function.ready(), function.complaint(), function.generation),
            (None, None, 0)
        );
    }

    #[test]
    fn the_first_condition_that_is_not_met_is_the_complaint() {
        let check = |conditions: &[ConditionRow<'_>], expected| {
            assert_eq!(function(1, conditions).complaint(), expected);
        };
        let ready = ("Ready", "False", "Starting", "no pod answers yet", 1);
        check(&[ready], Some(("Starting", "no pod answers yet")));
        let accepted = ("Accepted", "False", "Invalid", "spec.env[0]: no", 1);
        check(&[ready, accepted], Some(("Invalid", "spec.env[0]: no")));
        check(&[("Progressing", "False", "Complete", "", 1)], None);
    }
}
