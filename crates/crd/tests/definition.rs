//! Tests of the resource definition: the checked-in copy is current, and every field has a
//! description.

use std::path::Path;

use sampan_spec::LIMITS;
use serde_json::Value;

/// The definitions, with the names of their files.
fn definitions() -> [(&'static str, String); 2] {
    [
        ("wasmfunctions.sampan.dev", sampan_crd::definition_yaml()),
        ("wasmpools.sampan.dev", sampan_crd::pool_definition_yaml()),
    ]
}

fn schema() -> Value {
    schema_of(&serde_json::to_value(sampan_crd::definition()).expect("it can be written"))
}

fn schema_of(definition: &Value) -> Value {
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// The schemas of both definitions.
fn schemas() -> [Value; 2] {
    let pool = serde_json::to_value(sampan_crd::pool_definition()).expect("it can be written");
    [schema(), schema_of(&pool)]
}

#[test]
fn the_checked_in_definitions_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crd");
    for (name, made) in definitions() {
        let path = folder.join(format!("{name}.yaml"));
        if std::env::var_os("SAMPAN_WRITE_CRD").is_some() {
            std::fs::write(&path, made).expect("the file can be written");
            continue;
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            made == there,
            "{name} of deploy/crd is not what the types say: run SAMPAN_WRITE_CRD=1 cargo test --release --workspace --test definition"
        );
    }
}

#[test]
fn the_definitions_fit_the_size_of_an_object() {
    for (name, text) in definitions() {
        assert!(text.len() < 900_000, "{name}: {}", text.len());
    }
}

#[test]
fn the_definition_of_a_pool_allows_one_name_and_one_order() {
    let [_, schema] = schemas();
    let rule = |pointer: &str| {
        let rule = schema.pointer(&format!("{pointer}/x-kubernetes-validations/0/rule"));
        rule.and_then(Value::as_str).expect(pointer)
    };
    assert_eq!(rule(""), "self.metadata.name == 'default'");
    let replicas = rule("/properties/spec/properties/replicas");
    assert_eq!(replicas, "!has(self.max) || self.max >= self.min");
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
    for schema in schemas() {
        check("", &schema, &mut missing);
    }
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
    for schema in schemas() {
        check("", &schema);
    }
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
