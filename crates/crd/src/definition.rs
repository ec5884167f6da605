//! Generates the `CustomResourceDefinition` from the types.
//!
//! It adds rules over several fields, which the types cannot express, and shortens long
//! descriptions. `deploy/crd` contains the output of [`definition_yaml`].

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_core::CustomResourceExt as _;
use serde_json::{Value, json};

use crate::auto;
use crate::function::WasmFunction;
use crate::pooled;

/// The path of the schema in the definition.
const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema";

/// The most characters of a variable's name and of its value, as in Linux.
const MAX_NAME: u64 = 256;

/// The most characters of a field's path. The longest key of an annotation makes 341.
const MAX_FIELD_PATH: u64 = 512;
const MAX_VALUE: u64 = 131_072;

/// The resource definition.
///
/// # Panics
///
/// When the types make no definition, which the tests would find.
pub fn definition() -> CustomResourceDefinition {
    serde_json::from_value(definition_json()).expect("the definition keeps its shape")
}

/// The resource definition as YAML, as it is checked in and installed.
///
/// # Panics
///
/// As [`definition`].
pub fn definition_yaml() -> String {
    let yaml =
        serde_saphyr::to_string(&sorted(&definition_json())).expect("a definition can be written");
    format!("# Made from the types: sampan-operator crd\n{yaml}")
}

fn definition_json() -> Value {
    let mut definition =
        serde_json::to_value(WasmFunction::crd()).expect("a definition can be written");
    let schema = at(&mut definition, SCHEMA);
    clean(schema);
    for path in [
        "/properties/spec/properties/template/properties",
        "/properties/spec/properties/env/items/properties",
    ] {
        let Value::Object(properties) = at(schema, path) else {
            panic!("{path} has properties");
        };
        properties
            .values_mut()
            .for_each(|property| shorten(property, false));
    }
    shorten(
        at(schema, "/properties/status/properties/conditions/items"),
        true,
    );
    quantities(schema);

    let env = at(schema, "/properties/spec/properties/env");
    env["description"] = format!(
        "{} At most 1000.",
        env["description"].as_str().unwrap_or_default()
    )
    .into();
    env["items"]["properties"]["name"]["maxLength"] = MAX_NAME.into();
    env["items"]["properties"]["name"]["minLength"] = 1.into();
    env["items"]["properties"]["value"]["maxLength"] = MAX_VALUE.into();
    // A rule compares it, at a cost that grows with its longest value.
    at(
        env,
        "/items/properties/valueFrom/properties/fieldRef/properties/fieldPath",
    )["maxLength"] = MAX_FIELD_PATH.into();
    env["x-kubernetes-validations"] = json!([
        {
            "rule": "self.all(variable, variable.name != 'PORT')",
            "message": "PORT is taken: the function's server listens there",
        },
        {
            "rule": "self.all(variable, !(has(variable.value) && has(variable.valueFrom)))",
            "message": "a variable has a value or a valueFrom, not both",
        },
    ]);
    let mut rules = pooled::rules();
    rules.extend(auto::rules());
    at(schema, "/properties/spec")["x-kubernetes-validations"] = rules.into();
    // The name becomes that of a Service, which is stricter than other objects' names.
    schema["x-kubernetes-validations"] = json!([{
        "rule": "self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z]([a-z0-9-]*[a-z0-9])?$')",
        "message": "the name becomes part of host names: a-z, 0-9 and inner hyphens, a letter first, at most 63",
    }]);
    definition
}

fn at<'a>(value: &'a mut Value, path: &str) -> &'a mut Value {
    value
        .pointer_mut(path)
        .unwrap_or_else(|| panic!("the definition has {path}"))
}

/// Removes defaults, which an API server would write into resources, and line breaks of the source.
fn clean(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            // A property may be named `default` as well; its schema is an object.
            if map
                .get("default")
                .is_some_and(|default| !default.is_object() || default == &json!({}))
            {
                map.remove("default");
            }
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "description" => *text = text.replace('\n', " "),
                    value => clean(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(clean),
        _ => {}
    }
}

/// The syntax of a quantity. Without it, an API server reports an unreadable one with an internal
/// error.
const QUANTITY: &str =
    r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?$";

/// Adds the syntax of quantities, which Kubernetes' own schema lacks.
fn quantities(schema: &mut Value) {
    for (key, property) in schema.as_object_mut().into_iter().flatten() {
        let quantity = match key.as_str() {
            "limits" | "requests" => property.get_mut("additionalProperties"),
            "sizeLimit" | "divisor" => Some(&mut *property),
            _ => None,
        };
        if let Some(Value::Object(quantity)) = quantity
            && quantity.contains_key("x-kubernetes-int-or-string")
        {
            quantity.insert("pattern".to_owned(), QUANTITY.into());
            quantity.insert("maxLength".to_owned(), 64.into());
        }
        quantities(property);
    }
}

/// Shortens each description below this one to its first sentence. Those of Kubernetes' own types
/// fill a megabyte, and `kubectl explain pod.spec` shows them in full.
fn shorten(schema: &mut Value, this: bool) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "description" => {
                        if this {
                            *text = first_sentence(text).to_owned();
                        }
                    }
                    value => shorten(value, true),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shorten(item, true)),
        _ => {}
    }
}

/// The text up to the first full stop that ends a sentence.
fn first_sentence(text: &str) -> &str {
    let end = text
        .match_indices(". ")
        .map(|(index, _)| index)
        .find(|index| {
            let before = &text[..*index];
            !(before.ends_with("e.g") || before.ends_with("i.e") || before.ends_with("etc"))
        });
    end.map_or(text, |end| &text[..=end])
}

/// Sorts the keys of every object, which the map type of this build may not do.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            entries
                .into_iter()
                .map(|(key, value)| (key.clone(), sorted(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::first_sentence;

    #[test]
    fn a_sentence_ends_at_its_full_stop() {
        fn check(text: &str, expected: &str) {
            assert_eq!(first_sentence(text), expected);
        }
        check("One. Two.", "One.");
        check("One", "One");
        check("Some, e.g. these. Others.", "Some, e.g. these.");
        check("", "");
    }
}
