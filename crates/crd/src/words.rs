//! The schema of a field that takes one of a few words, with what each of them means.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// The schema of an enumeration without fields: a resource definition has no place for the meaning of
/// a single word, so all of them go into the description.
pub(crate) fn words<T: JsonSchema>(_: &mut SchemaGenerator) -> Schema {
    let described = SchemaGenerator::default()
        .into_root_schema_for::<T>()
        .to_value();
    let Some(Value::Array(variants)) = described.get("oneOf") else {
        panic!("every word of {} has a description", T::schema_name());
    };
    let text = |variant: &Value, key: &str| variant[key].as_str().unwrap_or_default().to_owned();
    let known: Vec<String> = variants
        .iter()
        .map(|variant| text(variant, "const"))
        .collect();
    let meaning: Vec<String> = variants
        .iter()
        .map(|variant| {
            format!(
                "{}: {}",
                text(variant, "const"),
                text(variant, "description")
            )
        })
        .collect();
    let about = meaning.join(" ");
    Schema::try_from(json!({ "type": "string", "enum": known, "description": about }))
        .expect("an object is a schema")
}
