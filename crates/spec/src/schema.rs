//! The JSON schema of `function.yaml`, for editors.
//!
//! Defaults and ranges come from the tables.

use serde_json::{Map, Value, json};

use crate::bound::{Bound, Unit};
use crate::file::FunctionFile;
use crate::function::{REUSE_IDLE, REUSE_REQUESTS};
use crate::limits::LIMITS;
use crate::name::FunctionName;
use crate::quantity::{ByteSize, Timespan};

impl FunctionFile {
    /// Makes the JSON schema of `function.yaml`, with keys in alphabetical order.
    pub fn json_schema() -> Value {
        let mut schema = schemars::schema_for!(Self).to_value();
        for limit in LIMITS {
            fill(&mut schema, "LimitsFile", limit.key, limit.bound);
        }
        fill(&mut schema, "ReuseFile", "requests", REUSE_REQUESTS);
        fill(&mut schema, "ReuseFile", "idle", REUSE_IDLE);
        if let Some(Value::Object(name)) = schema.pointer_mut("/properties/name") {
            name.insert(
                "pattern".to_owned(),
                json!("^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"),
            );
            name.insert("maxLength".to_owned(), json!(FunctionName::MAX_LENGTH));
        }
        flowing(&mut schema);
        sorted(schema)
    }
}

/// Adds a bound's default and range to the schema of one property.
fn fill(schema: &mut Value, definition: &str, key: &str, bound: Bound) {
    let Some(property) = schema.pointer_mut(&format!("/$defs/{definition}/properties/{key}"))
    else {
        return;
    };
    let about = property["description"].as_str().unwrap_or_default();
    let mut filled = json!({
        "description": format!("{about} ({})", bound.range()),
        "default": bound.unit.show(bound.default),
    });
    let kind = match bound.unit {
        Unit::Bytes => json!({
            "type": ["string", "integer", "null"],
            "pattern": ByteSize::PATTERN,
            "minimum": bound.least,
            "maximum": bound.most,
        }),
        Unit::Time => json!({ "type": ["string", "null"], "pattern": Timespan::PATTERN }),
        Unit::Count => json!({
            "type": ["integer", "null"],
            "minimum": bound.least,
            "maximum": bound.most,
            "default": bound.default,
        }),
    };
    if let (Value::Object(filled), Value::Object(kind)) = (&mut filled, kind) {
        filled.extend(kind);
    }
    *property = filled;
}

/// Joins the lines of every description, which are broken only in the source.
fn flowing(value: &mut Value) {
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(key, value)| match value {
            Value::String(text) if key == "description" => *text = text.replace('\n', " "),
            value => flowing(value),
        }),
        Value::Array(items) => items.iter_mut().for_each(flowing),
        _ => {}
    }
}

/// Sorts the keys of every object, which the map type of this build may not do.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by(|(left, _), (right, _)| left.cmp(right));
            entries
                .into_iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}
