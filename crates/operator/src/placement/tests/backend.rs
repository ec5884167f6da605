//! Tests of what a Service points at.

use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use super::super::Backend;
use super::POOL;

#[test]
fn a_service_shows_what_it_points_at() {
    fn check(spec: &Value, expected: Option<Backend>) {
        let service: Service = serde_json::from_value(json!({ "spec": spec })).expect("a Service");
        assert_eq!(Backend::of(&service), expected, "{spec}");
    }
    let port = |target: Value| json!([{ "port": 80, "targetPort": target }]);
    let own = json!({ "sampan.dev/function": "f" });
    let pool = json!({ "sampan.dev/pool": "default" });
    check(
        &json!({ "selector": own, "ports": port(json!("http")) }),
        Some(Backend::Pods),
    );
    check(
        &json!({ "selector": pool, "ports": port(json!(10_007)) }),
        Some(POOL),
    );
    check(
        &json!({ "selector": pool, "ports": port(json!("http")) }),
        None,
    );
    check(&json!({ "selector": pool, "ports": [] }), None);
    // Another manager has added a port.
    let both = json!([{ "port": 9, "targetPort": 9 }, { "port": 80, "targetPort": 10_007 }]);
    check(&json!({ "selector": pool, "ports": both }), Some(POOL));
    check(&json!({ "selector": { "app": "f" } }), None);
    check(&json!({}), None);
}
