//! Tests of the fields that a pooled function cannot have, in the check and in the definition.

use sampan_crd::{ValidFunction, ValidPlacement, WasmFunction};
use serde_json::{Value, json};

fn function(spec: &Value) -> WasmFunction {
    let mut all = json!({ "image": "registry.example/f:1" });
    for (key, value) in spec.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    let resource = json!({
        "apiVersion": "sampan.dev/v1alpha1",
        "kind": "WasmFunction",
        "metadata": { "name": "f" },
        "spec": all,
    });
    serde_json::from_value(resource).expect("a resource")
}

#[test]
fn a_pooled_function_has_only_what_a_pool_gives() {
    fn check(mut spec: Value, refused: Option<&str>) {
        assert!(
            ValidFunction::of(&function(&spec)).is_ok(),
            "as a pod: {spec}"
        );
        spec["placement"] = "Pooled".into();
        let field = ValidFunction::of(&function(&spec))
            .err()
            .map(|invalid| invalid.field);
        assert_eq!(field.as_deref(), refused, "{spec}");
    }
    let variable = |source: Value| json!({ "env": [{ "name": "A", "valueFrom": source }] });
    let field = |path: &str| variable(json!({ "fieldRef": { "fieldPath": path } }));
    check(json!({}), None);
    check(
        json!({ "args": ["a"], "limits": { "memory": "64Mi" } }),
        None,
    );
    check(json!({ "http": "cgi" }), None);
    check(json!({ "outbound": { "allow": ["http://a:1"] } }), None);
    check(json!({ "ingress": { "host": "a.example" } }), None);
    check(json!({ "imagePullSecrets": [{ "name": "a" }] }), None);
    check(
        json!({ "template": { "envFrom": [{ "secretRef": { "name": "a" } }] } }),
        None,
    );
    check(json!({ "template": { "imagePullPolicy": "Always" } }), None);
    check(
        variable(json!({ "secretKeyRef": { "name": "a", "key": "b" } })),
        None,
    );
    check(
        variable(json!({ "configMapKeyRef": { "name": "a", "key": "b" } })),
        None,
    );
    for path in sampan_crd::POOL_FIELDS {
        check(field(path), None);
    }
    check(json!({ "replicas": 1 }), Some("spec.replicas"));
    check(json!({ "metrics": {} }), Some("spec.metrics"));
    let authorities = json!({ "outbound": { "certificateAuthorities": ["/a.pem"] } });
    check(authorities, Some("spec.outbound.certificateAuthorities"));
    check(field("metadata.labels['a']"), Some("spec.env[0].valueFrom"));
    let resource = json!({ "resourceFieldRef": { "resource": "limits.cpu" } });
    check(variable(resource), Some("spec.env[0].valueFrom"));
    for (key, value) in [
        ("labels", json!({ "a": "b" })),
        ("nodeSelector", json!({ "a": "b" })),
        ("sidecars", json!([{ "name": "a" }])),
        ("volumes", json!([{ "name": "a" }])),
        ("resources", json!({})),
        ("serviceAccountName", json!("a")),
        ("terminationGracePeriodSeconds", json!(1)),
    ] {
        let refused = format!("spec.template.{key}");
        check(json!({ "template": { key: value } }), Some(&refused));
    }
}

#[test]
fn only_a_pooled_function_has_a_share_of_processors() {
    fn check(pool: &Value, expected: Result<(u32, Option<&str>), &str>) {
        let found = |placement: &str| {
            let spec = json!({ "placement": placement, "pool": pool });
            ValidFunction::of(&function(&spec)).map(|valid| valid.function.share)
        };
        let share = found("Pooled").map(|share| {
            let processors = share.processors.map(|processors| processors.to_string());
            (share.weight, processors)
        });
        let expected = expected.map(|(weight, cap)| (weight, cap.map(str::to_owned)));
        let share = share.map_err(|invalid| invalid.field);
        assert_eq!(share, expected.map_err(str::to_owned), "{pool}");
        let refused = found("Pod").map_err(|invalid| invalid.field);
        assert_eq!(refused, Err("spec.pool".to_owned()), "{pool}");
    }
    check(&json!({}), Ok((100, None)));
    check(&json!({ "weight": 1 }), Ok((1, None)));
    check(
        &json!({ "weight": 1000, "processors": "500m" }),
        Ok((1000, Some("500m"))),
    );
    check(&json!({ "processors": 2 }), Ok((100, Some("2"))));
    check(&json!({ "processors": "10m" }), Ok((100, Some("10m"))));
    check(&json!({ "processors": 1024 }), Ok((100, Some("1024"))));
    check(&json!({ "weight": 0 }), Err("spec.pool.weight"));
    check(&json!({ "weight": 1001 }), Err("spec.pool.weight"));
    check(&json!({ "processors": "2Gi" }), Err("spec.pool.processors"));
    for processors in ["1m", "9m", "0", "1025", "99999999999999999999"] {
        let pool = json!({ "processors": processors });
        check(&pool, Err("spec.pool.processors"));
    }
}

#[test]
fn pods_are_the_default_placement() {
    let placement = |spec| {
        ValidFunction::of(&function(&spec))
            .expect("valid")
            .placement
    };
    let pooled = json!({ "placement": "Pooled" });
    assert_eq!(placement(json!({})), ValidPlacement::Pod);
    assert_eq!(
        placement(json!({ "placement": "Pod" })),
        ValidPlacement::Pod
    );
    assert_eq!(placement(pooled), ValidPlacement::Pooled);
}

#[test]
fn the_definition_refuses_every_key_of_a_template_that_a_pool_lacks() {
    let definition = serde_json::to_value(sampan_crd::definition()).expect("it can be written");
    let spec =
        &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let rules = spec["x-kubernetes-validations"].as_array().expect("rules");
    let rule = |path: &str| {
        let rule = rules.iter().find(|rule| rule["fieldPath"] == path);
        rule.and_then(|rule| rule["rule"].as_str()).expect(path)
    };
    let template = rule(".template");
    let keys = spec["properties"]["template"]["properties"]
        .as_object()
        .expect("keys");
    for key in keys.keys() {
        let allowed = ["envFrom", "imagePullPolicy"].contains(&key.as_str());
        let named = template.contains(&format!("!has(self.template.{key})"));
        assert_eq!(named, !allowed, "{key}");
    }
    assert!(rule(".replicas").ends_with("!has(self.replicas)"));
    // The others are about settings that exclude each other, or that only the placement Auto has.
    let in_pools = rules.iter().filter(|rule| {
        let rule = rule["rule"].as_str().unwrap_or_default();
        rule.starts_with("!has(self.placement) || self.placement == 'Pod' || ")
    });
    assert_eq!(in_pools.count(), rules.len() - 4);
    let share = rule(".pool");
    assert!(share.starts_with("!has(self.pool) || "), "{share}");
}
