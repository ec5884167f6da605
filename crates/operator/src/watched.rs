//! A `WasmFunction` as the watch receives it, also when this operator cannot parse it.
//!
//! A resource of a later version keeps its metadata and its status. The status has the place of a
//! pooled function, which must survive every write.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::NamespaceResourceScope;
use sampan_crd::{Placement, PlacementPolicy, WasmFunction, WasmFunctionStatus};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A resource, parsed or not; its metadata is always available.
#[derive(Clone, Debug)]
pub(crate) struct WatchedFunction(pub(crate) Result<WasmFunction, Box<Unparsed>>);

/// A resource that cannot be parsed.
#[derive(Clone, Debug)]
pub(crate) struct Unparsed {
    metadata: ObjectMeta,
    /// The cause.
    pub(crate) error: String,
    /// Whether the spec asks for the pool.
    pooled: bool,
    /// The status, or why it cannot be parsed either.
    status: Result<Option<WasmFunctionStatus>, String>,
}

impl WatchedFunction {
    /// The status, if it was ever written.
    ///
    /// # Errors
    ///
    /// The cause for which it cannot be parsed.
    pub(crate) fn status(&self) -> Result<Option<&WasmFunctionStatus>, &str> {
        match &self.0 {
            Ok(function) => Ok(function.status.as_ref()),
            Err(unparsed) => match &unparsed.status {
                Ok(status) => Ok(status.as_ref()),
                Err(error) => Err(error),
            },
        }
    }

    /// The function's port in the pool.
    pub(crate) fn pool_port(&self) -> Option<u16> {
        self.status().ok().flatten()?.pool_port
    }

    /// Whether the function needs a pool: it asks for it, is served by it, or drains there. One with
    /// the placement Auto may return at any time, so its pool stays. A status that cannot be parsed may say so.
    pub(crate) fn needs_pool(&self) -> bool {
        let asks = match &self.0 {
            Ok(function) => function.spec.placement.unwrap_or_default().uses_pool(),
            Err(unparsed) => unparsed.pooled,
        };
        asks || match self.status() {
            Ok(status) => status.is_some_and(|status| {
                status.pool_port.is_some() || status.placement == Some(Placement::Pooled)
            }),
            Err(_) => true,
        }
    }
}

impl<'de> Deserialize<'de> for WatchedFunction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        let error = match WasmFunction::deserialize(&value) {
            Ok(function) => return Ok(Self(Ok(function))),
            Err(error) => error.to_string(),
        };
        let metadata =
            serde_json::from_value(value["metadata"].take()).map_err(D::Error::custom)?;
        let status = Option::deserialize(value["status"].take());
        Ok(Self(Err(Box::new(Unparsed {
            metadata,
            error,
            pooled: uses_pool(&value["spec"]["placement"]),
            status: status.map_err(|error: serde_json::Error| error.to_string()),
        }))))
    }
}

/// Whether a placement that cannot be parsed with the rest of its resource asks for the pool.
fn uses_pool(placement: &Value) -> bool {
    let policies = [PlacementPolicy::Pooled, PlacementPolicy::Auto];
    policies.iter().any(|policy| placement == policy.as_str())
}

impl Resource for WatchedFunction {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        WasmFunction::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        WasmFunction::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        WasmFunction::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        WasmFunction::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        match &self.0 {
            Ok(function) => &function.metadata,
            Err(unparsed) => &unparsed.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match &mut self.0 {
            Ok(function) => &mut function.metadata,
            Err(unparsed) => &mut unparsed.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::Resource as _;
    use serde_json::{Value, json};

    use super::WatchedFunction;

    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers pass temporary `json!` values"
    )]
    fn watched(spec: Value, status: Value) -> WatchedFunction {
        let value = json!({
            "apiVersion": "sampan.dev/v1alpha1", "kind": "WasmFunction",
            "metadata": { "name": "f" }, "spec": spec, "status": status,
        });
        serde_json::from_value(value).expect("it has metadata")
    }

    #[test]
    fn a_resource_of_a_later_version_keeps_its_name_its_status_and_its_place() {
        let check = |spec: Value, status: Value, parsed: bool, port, needs_pool: bool| {
            let function = watched(spec.clone(), status.clone());
            assert_eq!(function.0.is_ok(), parsed, "{spec} {status}");
            assert_eq!(function.meta().name.as_deref(), Some("f"));
            assert_eq!(function.pool_port(), port, "{spec} {status}");
            assert_eq!(function.needs_pool(), needs_pool, "{spec} {status}");
        };
        let later = json!({ "image": "i", "tomorrow": 1 });
        check(json!({ "image": "i" }), json!(null), true, None, false);
        check(
            json!({ "image": "i", "placement": "Pooled" }),
            json!(null),
            true,
            None,
            true,
        );
        check(
            json!({ "image": "i" }),
            json!({ "poolPort": 10_000 }),
            true,
            Some(10_000),
            true,
        );
        check(later.clone(), json!(null), false, None, false);
        check(
            later.clone(),
            json!({ "poolPort": 10_001, "placement": "Pooled" }),
            false,
            Some(10_001),
            true,
        );
        check(
            json!({ "image": "i", "placement": "Pooled", "tomorrow": 1 }),
            json!({}),
            false,
            None,
            true,
        );
        for (image, parsed) in [(json!("i"), true), (json!(1), false)] {
            let auto = json!({ "image": image, "placement": "Auto" });
            check(auto, json!({ "placement": "Pod" }), parsed, None, true);
        }
        // Nothing says that it is not served by the pool.
        check(later, json!({ "poolPort": "x" }), false, None, true);
    }

    #[test]
    fn a_status_that_cannot_be_parsed_is_an_error() {
        let function = watched(json!({ "image": 1 }), json!({ "replicas": "many" }));
        assert!(function.status().is_err());
    }
}
