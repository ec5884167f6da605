//! Tests of the backend of a Service, and of a change of it after which the answer was lost.

use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use super::{Backend, DRAIN, POOL, PORT, PlacementInput, Pod, PodsAction, Pooled, check, in_pool};

#[test]
fn a_service_shows_what_it_points_at() {
    fn shows(spec: &Value, expected: Option<Backend>) {
        let service: Service = serde_json::from_value(json!({ "spec": spec })).expect("a Service");
        assert_eq!(Backend::of(&service), expected, "{spec}");
    }
    let port = |target: Value| json!([{ "port": 80, "targetPort": target }]);
    let own = json!({ "sampan.dev/function": "f" });
    let pool = json!({ "sampan.dev/pool": "default" });
    shows(
        &json!({ "selector": own, "ports": port(json!("http")) }),
        Some(Backend::Pods),
    );
    shows(
        &json!({ "selector": pool, "ports": port(json!(10_007)) }),
        Some(POOL),
    );
    shows(
        &json!({ "selector": pool, "ports": port(json!("http")) }),
        None,
    );
    shows(&json!({ "selector": pool, "ports": [] }), None);
    // Another manager has added a port.
    let both = json!([{ "port": 9, "targetPort": 9 }, { "port": 80, "targetPort": 10_007 }]);
    shows(&json!({ "selector": pool, "ports": both }), Some(POOL));
    shows(&json!({ "selector": { "app": "f" } }), None);
    shows(&json!({}), None);
}

#[test]
fn a_drain_begins_when_a_change_of_the_service_is_seen_whose_answer_was_lost() {
    let into_pool = PlacementInput {
        unconfirmed: true,
        ..in_pool(Pooled, 100)
    };
    let drains = (POOL, PodsAction::Leave, Pooled, Some(PORT), Some(0), false);
    check(&into_pool, drains, Some(DRAIN));
    let out_of_pool = PlacementInput {
        placement: Some(Pod),
        service: Some(Backend::Pods),
        unconfirmed: true,
        ..in_pool(Pod, 100)
    };
    let kept = (
        Backend::Pods,
        PodsAction::Apply,
        Pod,
        Some(PORT),
        Some(0),
        false,
    );
    check(&out_of_pool, kept, Some(DRAIN));
}
