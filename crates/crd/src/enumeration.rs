//! The schema of an enumeration without fields.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// Makes the schema of an enumeration without fields. A resource definition has no descriptions of
/// single words, so the field's description contains them.
pub(crate) fn enumeration<T: JsonSchema>(_: &mut SchemaGenerator) -> Schema {
    let described = SchemaGenerator::default()
        .into_root_schema_for::<T>()
        .to_value();
    let Some(Value::Array(variants)) = described.get("oneOf") else {
        panic!("every word of {} has a description", T::schema_name());
    };
    let known: Vec<Value> = variants
        .iter()
        .map(|variant| variant["const"].clone())
        .collect();
    Schema::try_from(json!({ "type": "string", "enum": known })).expect("an object is a schema")
}
