//! Tests of the JSON schema: the checked-in copy is current and agrees with the reader.

use std::path::Path;

use sampan_spec::{FunctionFile, LIMITS, Unit, parse};
use serde_json::{Value, json};

#[test]
fn the_checked_in_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/function.schema.json");
    let current = format!("{:#}\n", FunctionFile::json_schema());
    if std::env::var_os("SAMPAN_WRITE_SCHEMA").is_some() {
        std::fs::write(&path, &current).expect("the schema can be written");
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == current,
        "docs/function.schema.json is not what the code says: \
         run SAMPAN_WRITE_SCHEMA=1 cargo test --release --workspace --test schema"
    );
}

/// The keys of an object's schema.
fn keys(schema: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = schema["properties"]
        .as_object()
        .expect("it is valid")
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

#[test]
fn schema_and_reader_know_the_same_keys() {
    fn check(schema: &Value, unknown: &str) {
        let mut allowed = parse(unknown, "f").expect_err(unknown).allowed;
        allowed.sort_unstable();
        assert_eq!(keys(schema), allowed, "{unknown}");
        assert_eq!(schema["additionalProperties"], json!(false), "{unknown}");
    }
    let schema = FunctionFile::json_schema();
    let definitions = &schema["$defs"];
    check(&schema, "x: 1");
    check(&definitions["LimitsFile"], "limits: {x: 1}");
    check(&definitions["OutboundFile"], "outbound: {x: 1}");
    check(&definitions["InstancesFile"], "instances: {x: 1}");
    check(&definitions["ReuseFile"], "instances: {reuse: {x: 1}}");
    check(&definitions["EnvironmentVariable"], "env: [{x: 1}]");
}

#[test]
fn every_key_is_described() {
    fn walk(schema: &Value, path: &str) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let about = property["description"].as_str().unwrap_or_default();
            assert!(about.len() > 5, "{path}/{key} has no description");
        }
        for (name, definition) in schema["$defs"].as_object().into_iter().flatten() {
            walk(definition, &format!("{path}/{name}"));
        }
    }
    walk(&FunctionFile::json_schema(), "");
}

#[test]
fn limits_carry_their_defaults_and_ranges() {
    let schema = FunctionFile::json_schema();
    for limit in LIMITS {
        let property = &schema["$defs"]["LimitsFile"]["properties"][limit.key];
        let bound = limit.bound;
        let about = property["description"].as_str().expect("it is valid");
        for value in [bound.default, bound.least, bound.most] {
            assert!(
                about.contains(&bound.unit.show(value)),
                "{}: {about}",
                limit.key
            );
        }
        match bound.unit {
            Unit::Count => assert_eq!(property["default"], json!(bound.default)),
            _ => assert_eq!(property["default"], json!(bound.unit.show(bound.default))),
        }
    }
}
