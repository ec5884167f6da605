//! The limits in a resource, with the keys, units, defaults and ranges of `function.yaml`.
//!
//! The schema is made from the table in `sampan-spec`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sampan_spec::FunctionFile;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::amount::Amount;

/// The limits of a function that differ from the default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Limits(pub BTreeMap<String, Amount>);

impl JsonSchema for Limits {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Limits".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::try_from(json!({ "type": "object", "properties": properties("LimitsFile") }))
            .expect("an object is a schema")
    }
}

/// The schema of one amount in a group of `function.yaml`.
pub(crate) fn amount(group: &str, key: &str) -> Schema {
    let mut properties = properties(group);
    let property = properties.remove(key).expect("the table has the key");
    Schema::try_from(property).expect("an object is a schema")
}

/// The properties of a group of `function.yaml`, in the form of a resource definition.
fn properties(group: &str) -> Map<String, Value> {
    let file = FunctionFile::json_schema();
    let Some(Value::Object(properties)) = file.pointer(&format!("/$defs/{group}/properties"))
    else {
        panic!("function.yaml has the group {group}");
    };
    let structural = |(key, value): (&String, &Value)| (key.clone(), structural(value));
    properties.iter().map(structural).collect()
}

/// Converts a schema to the features that a resource definition allows.
fn structural(property: &Value) -> Value {
    let Value::Object(mut property) = property.clone() else {
        panic!("every property of function.yaml has an object as its schema");
    };
    // An API server would write a default into the resource, where it looks like a user's value.
    property.remove("default");
    let kinds = property.remove("type").unwrap_or_default();
    let has = |kind: &str| {
        let named = |other: &Value| other == kind;
        kinds
            .as_array()
            .map_or(named(&kinds), |kinds| kinds.iter().any(named))
    };
    match (has("string"), has("integer")) {
        (true, true) => {
            property.insert("x-kubernetes-int-or-string".to_owned(), true.into());
            property.insert("maxLength".to_owned(), MAX_CHARACTERS.into());
        }
        (true, false) => {
            property.insert("type".to_owned(), "string".into());
            property.insert("maxLength".to_owned(), MAX_CHARACTERS.into());
        }
        (false, _) => {
            property.insert("type".to_owned(), "integer".into());
            property.insert("format".to_owned(), "int64".into());
        }
    }
    property.into()
}

/// The most characters of an amount.
const MAX_CHARACTERS: u64 = 64;
