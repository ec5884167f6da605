//! Tests of the resource definition: the checked-in copy is current, and every field has a
//! description.

use std::path::Path;

use sampan_spec::LIMITS;
use serde_json::Value;

const FILE: &str = "../../deploy/crd/wasmfunctions.sampan.dev.yaml";

fn schema() -> Value {
    let definition = serde_json::to_value(sampan_crd::definition()).expect("it can be written");
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

#[test]
fn the_checked_in_definition_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let made = sampan_crd::definition_yaml();
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    if std::env::var_os("SAMPAN_WRITE_CRD").is_some() {
        std::fs::write(&path, made).expect("the file can be written");
        return;
    }
    assert!(
        made == there,
        "deploy/crd is not what the types say: run SAMPAN_WRITE_CRD=1 cargo test --release --workspace --test definition"
    );
}

#[test]
fn the_definition_fits_the_size_of_an_object() {
    let bytes = sampan_crd::definition_yaml().len();
    assert!(bytes < 900_000, "{bytes}");
}

#[test]
fn every_field_is_described() {
    fn check(path: &str, schema: &Value, missing: &mut Vec<String>) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            let described = property["description"]
                .as_str()
                .is_some_and(|text| !text.trim().is_empty());
            if !described && path != ".metadata" {
                missing.push(path.clone());
            }
            check(&path, property, missing);
            check(&format!("{path}[]"), &property["items"], missing);
        }
    }
    let mut missing = Vec::new();
    check("", &schema(), &mut missing);
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn no_field_is_open_and_none_has_a_default() {
    fn check(path: &str, schema: &Value) {
        let Value::Object(map) = schema else { return };
        assert!(
            !map.contains_key("x-kubernetes-preserve-unknown-fields"),
            "{path}"
        );
        for (key, value) in map {
            if key == "properties" {
                for (name, property) in value.as_object().into_iter().flatten() {
                    assert!(property.get("default").is_none(), "{path}.{name}");
                    check(&format!("{path}.{name}"), property);
                }
            } else {
                check(path, value);
            }
        }
    }
    check("", &schema());
}

#[test]
fn limits_have_the_units_defaults_and_ranges_of_the_table() {
    let schema = schema();
    let limits = schema
        .pointer("/properties/spec/properties/limits/properties")
        .expect("limits");
    assert_eq!(
        limits.as_object().map(serde_json::Map::len),
        Some(LIMITS.len())
    );
    for limit in LIMITS {
        let about = limits[limit.key]["description"]
            .as_str()
            .unwrap_or_default();
        let bound = limit.bound;
        for value in [bound.least, bound.most, bound.default] {
            let shown = bound.unit.show(value);
            assert!(
                about.contains(&shown),
                "{}: {about} lacks {shown}",
                limit.key
            );
        }
    }
}
