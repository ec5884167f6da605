//! Tests of environments against the kubelet's documented rules.

use serde_json::{Value, json};

use super::*;
use crate::objects::{ObjectKind, SeenObject};

fn data(pairs: &[(&str, &[u8])]) -> ObjectData {
    ObjectData::new(
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.to_vec())),
    )
}

/// The `ConfigMap` `settings` and the Secret `keys`; `gone` of both kinds does not exist, and no
/// other object was seen.
fn objects() -> Objects {
    let mut objects = Objects::default();
    let mut add = |key: ObjectKey, data: Option<ObjectData>| {
        objects.observe(
            key,
            SeenObject {
                data,
                version: None,
            },
        );
    };
    let settings = data(&[("COLOR", b"blue"), ("REF", b"$(COLOR)"), ("a-b.c", b"odd")]);
    add(ObjectKey::config_map("settings"), Some(settings));
    let keys = data(&[
        ("TOKEN", b"secret"),
        ("COLOR", b"red"),
        ("BINARY", b"\xff"),
        ("NUL", b"a\0b"),
    ]);
    add(ObjectKey::secret("keys"), Some(keys));
    add(ObjectKey::config_map("gone"), None);
    add(ObjectKey::secret("gone"), None);
    objects
}

fn resolved(env: &Value, env_from: &Value) -> Result<Variables, Unresolved> {
    let env: Vec<EnvVar> = serde_json::from_value(env.clone()).unwrap();
    let env_from: Vec<EnvFromSource> = serde_json::from_value(env_from.clone()).unwrap();
    let fields = PodFields::of(|name| (name == "POD_NAME").then(|| "pool-0".to_owned()));
    resolve(&env, &env_from, &objects(), &fields, &mut Budget::new())
}

fn check(env: &Value, env_from: &Value, expected: &[(&str, &str)]) {
    let expected = expected.iter();
    let expected: Variables = expected
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    match resolved(env, env_from) {
        Ok(found) => assert_eq!(found, expected, "{env} {env_from}"),
        Err(error) => panic!("{env} {env_from}: {error:?}"),
    }
}

fn config_map(name: &str, key: &str) -> Value {
    json!({ "configMapKeyRef": { "name": name, "key": key } })
}

fn secret(name: &str, key: &str) -> Value {
    json!({ "secretKeyRef": { "name": name, "key": key } })
}

fn optional(mut source: Value) -> Value {
    for reference in source.as_object_mut().unwrap().values_mut() {
        reference["optional"] = true.into();
    }
    source
}

fn from(source: &Value) -> Value {
    json!([{ "name": "A", "valueFrom": source }])
}

#[test]
fn values_are_literal_or_of_an_object_or_of_the_pod() {
    let none = json!([]);
    check(&none, &none, &[]);
    check(&json!([{"name": "A", "value": "x"}]), &none, &[("A", "x")]);
    check(&json!([{"name": "A"}]), &none, &[("A", "")]);
    check(&json!([{"name": "A", "value": ""}]), &none, &[("A", "")]);
    check(
        &from(&config_map("settings", "COLOR")),
        &none,
        &[("A", "blue")],
    );
    check(&from(&secret("keys", "TOKEN")), &none, &[("A", "secret")]);
    check(
        &from(&json!({"fieldRef": {"fieldPath": "metadata.name"}})),
        &none,
        &[("A", "pool-0")],
    );
    // Only a literal value is expanded.
    check(
        &from(&config_map("settings", "REF")),
        &none,
        &[("A", "$(COLOR)")],
    );
}

#[test]
fn an_optional_source_that_does_not_exist_makes_no_variable() {
    let none = json!([]);
    for source in [
        config_map("gone", "A"),
        config_map("settings", "MISSING"),
        secret("gone", "A"),
        secret("keys", "MISSING"),
    ] {
        check(&from(&optional(source)), &none, &[]);
    }
    check(
        &from(&optional(secret("keys", "TOKEN"))),
        &none,
        &[("A", "secret")],
    );
    for whole in ["configMapRef", "secretRef"] {
        let source = json!([{ whole: { "name": "gone", "optional": true } }]);
        check(&none, &source, &[]);
    }
}

#[test]
fn whole_objects_come_first_and_later_ones_win() {
    let none = json!([]);
    let settings = json!({"configMapRef": {"name": "settings"}});
    let whole = &[("COLOR", "blue"), ("REF", "$(COLOR)"), ("a-b.c", "odd")];
    check(&none, &json!([settings]), whole);
    let prefixed = json!([{"prefix": "P_", "configMapRef": {"name": "settings"}}]);
    let expected = &[
        ("P_COLOR", "blue"),
        ("P_REF", "$(COLOR)"),
        ("P_a-b.c", "odd"),
    ];
    check(&none, &prefixed, expected);
    let own = json!([{"name": "COLOR", "value": "own, was $(COLOR)"}]);
    let expected = &[
        ("COLOR", "own, was blue"),
        ("REF", "$(COLOR)"),
        ("a-b.c", "odd"),
    ];
    check(&own, &json!([settings]), expected);
}

#[test]
fn references_are_to_variables_before() {
    let none = json!([]);
    let env = json!([
        {"name": "A", "value": "$(B)"},
        {"name": "B", "value": "b"},
        {"name": "C", "value": "$(B)$(B) $$(B) $(NONE)"},
        {"name": "D", "valueFrom": secret("keys", "TOKEN")},
        {"name": "E", "value": "key=$(D)"},
    ]);
    let expected = &[
        ("A", "$(B)"),
        ("B", "b"),
        ("C", "bb $(B) $(NONE)"),
        ("D", "secret"),
        ("E", "key=secret"),
    ];
    check(&env, &none, expected);
}

#[test]
fn what_is_missing_is_named_and_never_shown() {
    fn refused(env: &Value, env_from: &Value, expected: &str) {
        match resolved(env, env_from) {
            Err(Unresolved::Failed(error)) => {
                let message = error.to_string();
                assert!(message.contains(expected), "{message}");
                assert!(!message.contains("secret\""), "{message}");
            }
            other => panic!("{env} {env_from}: {other:?}"),
        }
    }
    let none = json!([]);
    refused(&from(&config_map("gone", "A")), &none, "ConfigMap gone");
    refused(
        &from(&config_map("settings", "NO")),
        &none,
        "\"NO\" in ConfigMap settings",
    );
    refused(&from(&secret("gone", "A")), &none, "Secret gone");
    refused(&from(&secret("keys", "NO")), &none, "\"NO\" in Secret keys");
    refused(&from(&secret("keys", "BINARY")), &none, "Secret keys");
    refused(&from(&secret("keys", "NUL")), &none, "Secret keys");
    refused(
        &none,
        &json!([{"configMapRef": {"name": "gone"}}]),
        "ConfigMap gone",
    );
    refused(&none, &json!([{"secretRef": {"name": "keys"}}]), "BINARY");
    let field = json!({"fieldRef": {"fieldPath": "status.hostIP"}});
    refused(&from(&field), &none, "status.hostIP");
}

#[test]
fn an_object_that_was_not_seen_is_waited_for() {
    let none = json!([]);
    for source in [config_map("other", "A"), optional(secret("other", "A"))] {
        let found = resolved(&from(&source), &none);
        assert!(matches!(found, Err(Unresolved::Waiting)), "{found:?}");
    }
    let mut objects = Objects::default();
    objects.set_forbidden(ObjectKind::Secret, true);
    let env: Vec<EnvVar> = serde_json::from_value(from(&secret("other", "A"))).unwrap();
    let found = resolve(
        &env,
        &[],
        &objects,
        &PodFields::default(),
        &mut Budget::new(),
    );
    let is_forbidden = matches!(
        found,
        Err(Unresolved::Failed(PoolError::Forbidden(ObjectKind::Secret)))
    );
    assert!(is_forbidden, "{found:?}");
}

#[test]
fn an_environment_is_bounded_before_it_is_made() {
    let too_large = |env: &Value, env_from: &Value| {
        let found = resolved(env, env_from);
        let is_refused = matches!(
            found,
            Err(Unresolved::Failed(PoolError::EnvironmentTooLarge))
        );
        assert!(is_refused, "{:?}", found.map(|variables| variables.len()));
    };
    let none = json!([]);
    let long = "x".repeat(200_000);
    // Each refers to the one before: gigabytes.
    too_large(
        &json!([{"name": "A", "value": long}, {"name": "B", "value": "$(A)".repeat(40_000)}]),
        &none,
    );
    too_large(&json!([{"name": "A", "value": long.repeat(6)}]), &none);
    let prefix = "P".repeat(Budget::MAX_BYTES / 2);
    too_large(
        &none,
        &json!([{"prefix": prefix, "configMapRef": {"name": "settings"}}]),
    );
    // A name that is set again counts again.
    let repeated: Vec<_> = vec![json!({"name": "A", "value": long}); 6];
    too_large(&repeated.into(), &none);
    let fits = json!([{"name": "A", "value": long}, {"name": "B", "value": "$(A)$(A)"}]);
    assert!(resolved(&fits, &none).is_ok());
}

#[test]
fn all_references_are_found() {
    let env = json!([
        {"name": "A", "value": "x"},
        {"name": "B", "valueFrom": config_map("a", "k")},
        {"name": "C", "valueFrom": secret("b", "k")},
        {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]);
    let env: Vec<EnvVar> = serde_json::from_value(env).unwrap();
    let env_from = json!([{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "d"}}, {}]);
    let env_from: Vec<EnvFromSource> = serde_json::from_value(env_from).unwrap();
    let found: Vec<_> = references(&env, &env_from).collect();
    let expected = [
        ObjectKey::config_map("c"),
        ObjectKey::secret("d"),
        ObjectKey::config_map("a"),
        ObjectKey::secret("b"),
    ];
    assert_eq!(found, expected);
}
