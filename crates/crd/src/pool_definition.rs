//! Generates the `CustomResourceDefinition` of `WasmPool` from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_core::CustomResourceExt as _;
use serde_json::{Value, json};

use crate::definition::{SCHEMA, at, clean, quantities, shorten, yaml};
use crate::scale::RANGE;
use crate::valid_pool::{DEFAULT_POOL, POOL_CLAIMS, POOL_NAME};
use crate::wasm_pool::WasmPool;

/// Fields with Kubernetes' own types. Their descriptions are shortened.
const FOREIGN: [&str; 4] = [
    "resources",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
];

/// The definition of `WasmPool`.
///
/// # Panics
///
/// When the types make no definition, which the tests would find.
pub fn pool_definition() -> CustomResourceDefinition {
    serde_json::from_value(definition_json()).expect("the definition keeps its shape")
}

/// The definition of `WasmPool` as YAML, as it is checked in and installed.
///
/// # Panics
///
/// As [`pool_definition`].
pub fn pool_definition_yaml() -> String {
    yaml(&definition_json())
}

fn definition_json() -> Value {
    let mut definition =
        serde_json::to_value(WasmPool::crd()).expect("a definition can be written");
    let schema = at(&mut definition, SCHEMA);
    clean(schema);
    for field in FOREIGN {
        let path = format!("/properties/spec/properties/{field}");
        shorten(at(schema, &path), false);
    }
    shorten(
        at(schema, "/properties/status/properties/conditions/items"),
        true,
    );
    quantities(schema);
    at(schema, "/properties/spec/properties/replicas")["x-kubernetes-validations"] = json!([{
        "rule": "!has(self.max) || self.max >= self.min",
        "message": RANGE,
        "fieldPath": ".max",
    }]);
    at(schema, "/properties/spec/properties/resources")["x-kubernetes-validations"] = json!([{
        "rule": "!has(self.claims)",
        "message": POOL_CLAIMS,
        "fieldPath": ".claims",
    }]);
    schema["x-kubernetes-validations"] = json!([{
        "rule": format!("self.metadata.name == '{DEFAULT_POOL}'"),
        "message": POOL_NAME,
    }]);
    definition
}
