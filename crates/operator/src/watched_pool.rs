//! A `WasmPool` as the watch receives it, also when this operator cannot parse it.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::NamespaceResourceScope;
use sampan_crd::{Invalid, ValidPool, WasmPool, WasmPoolStatus};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A resource, valid or not; its metadata is always available.
#[derive(Clone, Debug)]
pub(crate) struct WatchedPool {
    metadata: ObjectMeta,
    /// The settings, or the value that is not allowed.
    pub(crate) settings: Result<ValidPool, Invalid>,
    /// The last status. One that cannot be parsed is written anew: nothing but the times of its
    /// conditions is read.
    pub(crate) status: Option<WasmPoolStatus>,
}

impl<'de> Deserialize<'de> for WatchedPool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        let status = value
            .as_object_mut()
            .and_then(|resource| resource.remove("status"));
        let settings = match WasmPool::deserialize(&value) {
            Ok(resource) => ValidPool::of(&resource),
            Err(error) => Err(Invalid {
                field: "spec".to_owned(),
                message: error.to_string(),
            }),
        };
        let metadata = serde_json::from_value(value["metadata"].take());
        Ok(Self {
            metadata: metadata.map_err(D::Error::custom)?,
            settings,
            status: status.and_then(|status| serde_json::from_value(status).ok()),
        })
    }
}

impl Resource for WatchedPool {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        WasmPool::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        WasmPool::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        WasmPool::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        WasmPool::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::Resource as _;
    use serde_json::{Value, json};

    use super::WatchedPool;

    #[test]
    fn a_resource_that_is_not_valid_keeps_its_name_and_its_status() {
        let check = |spec: Value, status: Value, refused: Option<&str>, functions: Option<i32>| {
            let value = json!({
                "apiVersion": "sampan.dev/v1alpha1", "kind": "WasmPool",
                "metadata": { "name": "default" }, "spec": spec, "status": status,
            });
            let pool: WatchedPool = serde_json::from_value(value).expect("it has metadata");
            assert_eq!(pool.meta().name.as_deref(), Some("default"));
            let field = pool.settings.err().map(|invalid| invalid.field);
            assert_eq!(field.as_deref(), refused);
            assert_eq!(pool.status.map(|status| status.functions), functions);
        };
        check(json!({}), json!(null), None, None);
        check(json!({}), json!({ "functions": 3 }), None, Some(3));
        check(
            json!({ "tomorrow": 1 }),
            json!({ "functions": 3 }),
            Some("spec"),
            Some(3),
        );
        check(
            json!({ "replicas": { "min": 0 } }),
            json!({ "functions": "many" }),
            Some("spec.replicas.min"),
            None,
        );
    }
}
