//! Compares a desired with an observed object, without the API server.
//!
//! Only desired fields are compared: defaults of the API server and fields of other managers are
//! ignored. Two spellings of one quantity are equal, as are an empty value and none. A field that
//! is no longer desired is invisible to this comparison, so the object keeps the [`digest`] of its
//! desired state.

use serde_json::{Map, Value};

/// The keys that identify items of Kubernetes' lists, in order of preference.
const KEYS: [&str; 4] = ["name", "uid", "mountPath", "topologyKey"];

/// Keys with quantities below them.
const QUANTITIES: [&str; 5] = ["limits", "requests", "sizeLimit", "divisor", "storage"];

/// The part of `observed` that `desired` mentions, in the same shape; null for missing values.
pub(crate) fn projection(desired: &Value, observed: &Value) -> Value {
    match (desired, observed) {
        (Value::Object(desired), Value::Object(observed)) => {
            let part = |(key, value): (&String, &Value)| {
                let found = observed.get(key).unwrap_or(&Value::Null);
                (key.clone(), projection(value, found))
            };
            Value::Object(desired.iter().map(part).collect())
        }
        (Value::Array(desired), Value::Array(observed)) => items(desired, observed),
        _ => observed.clone(),
    }
}

fn items(desired: &[Value], observed: &[Value]) -> Value {
    let key = KEYS.into_iter().find(|key| {
        let has = |item: &Value| item.get(key).is_some_and(Value::is_string);
        !desired.is_empty() && desired.iter().all(has)
    });
    match key {
        Some(key) => (desired.iter())
            .map(|wanted| {
                let found = observed
                    .iter()
                    .find(|item| item.get(key) == wanted.get(key));
                found.map_or(Value::Null, |found| projection(wanted, found))
            })
            .collect(),
        // Without a key a list is one value.
        None if desired.len() == observed.len() => {
            let pairs = desired.iter().zip(observed);
            pairs
                .map(|(wanted, found)| projection(wanted, found))
                .collect()
        }
        None => Value::Array(observed.to_vec()),
    }
}

/// Whether a projection equals the desired value.
pub(crate) fn is_same(desired: &Value, projected: &Value) -> bool {
    same(desired, projected, false)
}

fn same(desired: &Value, found: &Value, quantity: bool) -> bool {
    match (desired, found) {
        (Value::Object(desired), Value::Object(found)) => {
            let mut keys: Vec<&String> = desired.keys().chain(found.keys()).collect();
            keys.dedup();
            keys.into_iter().all(|key| {
                let get = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                let quantity = quantity || QUANTITIES.contains(&key.as_str());
                same(&get(desired), &get(found), quantity)
            })
        }
        (Value::Array(desired), Value::Array(found)) => {
            let mut pairs = desired.iter().zip(found);
            desired.len() == found.len() && pairs.all(|(left, right)| same(left, right, quantity))
        }
        (Value::String(desired), Value::String(found)) if quantity => {
            desired == found || amount(desired).is_some_and(|it| Some(it) == amount(found))
        }
        (desired, found) => desired == found || (is_empty(desired) && is_empty(found)),
    }
}

/// Whether the API server drops a value.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A quantity in billionths; `None` if it is malformed or has digits beyond that.
fn amount(text: &str) -> Option<i128> {
    const UNITS: [(&str, i128); 15] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("Ei", 1 << 60),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("E", 1_000_000_000_000_000_000),
        ("m", -1_000),
        ("u", -1_000_000),
        ("n", -1_000_000_000),
    ];
    let unit = UNITS.iter().find(|(unit, _)| text.ends_with(unit));
    let (number, factor) = unit.map_or((text, 1), |(unit, factor)| {
        (&text[..text.len() - unit.len()], *factor)
    });
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_empty = whole.is_empty() && fraction.is_empty();
    if is_empty || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nano = format!("{whole}{fraction:0<9}").parse::<i128>().ok()?;
    match factor {
        // A fraction of one.
        ..0 => (nano % -factor == 0).then_some(nano / -factor),
        _ => nano.checked_mul(factor),
    }
}

/// A digest of a value, stable across builds and runs.
pub(crate) fn digest(value: &Value) -> String {
    let mut hasher = blake3::Hasher::new();
    feed(value, &mut hasher);
    hasher.finalize().to_hex()[..32].to_owned()
}

fn feed(value: &Value, hasher: &mut blake3::Hasher) {
    match value {
        Value::Object(map) => {
            // The order of keys depends on the map type, and has no meaning.
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            hasher.update(b"{");
            for (key, value) in entries {
                length_first(key, hasher);
                feed(value, hasher);
            }
            hasher.update(b"}");
        }
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                feed(item, hasher);
            }
            hasher.update(b"]");
        }
        Value::String(text) => {
            hasher.update(b"s");
            length_first(text, hasher);
        }
        other => length_first(&other.to_string(), hasher),
    }
}

fn length_first(text: &str, hasher: &mut blake3::Hasher) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{amount, digest, is_same, projection};

    fn check(desired: &Value, observed: &Value, same: bool) {
        let projected = projection(desired, observed);
        assert_eq!(
            is_same(desired, &projected),
            same,
            "{desired} {observed} {projected}"
        );
    }

    #[test]
    fn added_fields_are_no_difference() {
        check(&json!({ "a": 1 }), &json!({ "a": 1, "b": 2 }), true);
        check(
            &json!({ "a": { "b": 1 } }),
            &json!({ "a": { "b": 1, "c": 2 }, "d": 3 }),
            true,
        );
        let desired = json!({ "containers": [{ "name": "function", "image": "i" }] });
        let injected = json!({ "containers": [{ "name": "mesh" }, { "name": "function", "image": "i", "stdin": false }] });
        check(&desired, &injected, true);
    }

    #[test]
    fn changed_or_removed_fields_are_a_difference() {
        check(&json!({ "a": 1 }), &json!({ "a": 2 }), false);
        check(&json!({ "a": 1 }), &json!({}), false);
        check(&json!({ "a": false }), &json!({}), false);
        check(&json!({ "replicas": 0 }), &json!({ "replicas": 1 }), false);
        let desired = json!({ "containers": [{ "name": "function", "image": "i" }] });
        check(
            &desired,
            &json!({ "containers": [{ "name": "function", "image": "other" }] }),
            false,
        );
        check(
            &desired,
            &json!({ "containers": [{ "name": "other", "image": "i" }] }),
            false,
        );
        check(
            &json!({ "args": ["a", "b"] }),
            &json!({ "args": ["b", "a"] }),
            false,
        );
        check(
            &json!({ "args": ["a"] }),
            &json!({ "args": ["a", "b"] }),
            false,
        );
    }

    #[test]
    fn spelling_and_empty_values_are_no_difference() {
        check(
            &json!({ "limits": { "memory": "1024Mi" } }),
            &json!({ "limits": { "memory": "1Gi" } }),
            true,
        );
        check(
            &json!({ "limits": { "cpu": "1000m" } }),
            &json!({ "limits": { "cpu": "1" } }),
            true,
        );
        check(
            &json!({ "limits": { "cpu": "1" } }),
            &json!({ "limits": { "cpu": "2" } }),
            false,
        );
        check(
            &json!({ "command": "1000m" }),
            &json!({ "command": "1" }),
            false,
        );
        check(
            &json!({ "env": [{ "name": "A", "value": "" }] }),
            &json!({ "env": [{ "name": "A" }] }),
            true,
        );
        check(&json!({ "a": {}, "b": [], "c": null }), &json!({}), true);
    }

    #[test]
    fn quantities_follow_kubernetes() {
        assert_eq!(amount("1.5Gi"), amount("1536Mi"));
        assert_eq!(amount("0.1"), amount("100m"));
        assert_eq!(amount("1k"), amount("1000"));
        assert_ne!(amount("1k"), amount("1Ki"));
        for text in ["", "Mi", "x", "1..5", "1.-5", "1e3x"] {
            assert_eq!(amount(text), None, "{text}");
        }
    }

    #[test]
    fn a_digest_depends_only_on_content() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":[{"c":"x"}]}"#).expect("JSON");
        let other: Value = serde_json::from_str(r#"{"b":[{"c":"x"}],"a":1}"#).expect("JSON");
        assert_eq!(digest(&one), digest(&other));
        for different in [
            json!({ "a": 1 }),
            json!({ "a": "1", "b": [{ "c": "x" }] }),
            json!([]),
        ] {
            assert_ne!(digest(&one), digest(&different));
        }
    }
}
