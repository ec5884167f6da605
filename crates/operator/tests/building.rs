//! Tests of building objects from the YAML of a resource.

use std::path::Path;
use std::time::Duration;

use sampan_crd::{ValidFunction, WasmFunction};
use sampan_operator::{Identity, Settings, build};
use serde_json::{Value, json};

fn built(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.yaml"));
    let text = std::fs::read_to_string(path).expect("a fixture");
    built_of(serde_saphyr::from_str(&text).expect("a resource"))
}

fn built_of(resource: WasmFunction) -> Value {
    let function = ValidFunction::of(&resource).expect("it is allowed");
    let identity = Identity {
        namespace: "functions".to_owned(),
        name: resource.metadata.name.expect("a name"),
        uid: "0000-1111".to_owned(),
    };
    let settings = Settings {
        drain_delay: Duration::from_secs(3),
    };
    let desired = build(&identity, &function, settings);
    json!({
        "deployment": desired.deployment,
        "service": desired.service,
        "autoscaler": desired.autoscaler,
        "ingress": desired.ingress,
    })
}

/// Compares the built objects with the fixture beside the resource.
fn check(name: &str) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.built.json"));
    let built = built(name);
    if std::env::var_os("SAMPAN_WRITE_FIXTURES").is_some() {
        let text = serde_json::to_string_pretty(&built).expect("JSON");
        std::fs::write(&path, text + "\n").expect("the file can be written");
    }
    let expected = std::fs::read_to_string(&path).expect("the expected objects");
    let expected: Value = serde_json::from_str(&expected).expect("JSON");
    assert_eq!(built, expected, "{name}");
}

#[test]
fn a_function_with_only_an_image() {
    check("small");
}

#[test]
fn a_function_with_every_field() {
    check("whole");
}

#[test]
fn a_function_that_is_scaled() {
    check("scaled");
}

#[test]
fn a_scaled_function_that_leaves_the_pool_requests_what_moves_it_out() {
    let check = |more: Value, expected: &str| {
        let mut spec = json!({ "image": "registry.example/f:1" });
        let more = more.as_object().expect("fields").clone();
        spec.as_object_mut().expect("fields").extend(more);
        let resource = json!({
            "apiVersion": "sampan.dev/v1alpha1", "kind": "WasmFunction",
            "metadata": { "name": "f" }, "spec": spec,
        });
        let built = built_of(serde_json::from_value(resource).expect("a resource"));
        let container = &built["deployment"]["spec"]["template"]["spec"]["containers"][0];
        let requests = &container["resources"]["requests"];
        assert_eq!(requests["cpu"], expected, "{spec}");
        assert_eq!(requests["memory"], "16Mi", "{spec}");
    };
    let auto = |move_out: &str, scale: Value| json!({ "placement": "Auto", "auto": { "moveOut": move_out }, "scale": scale });
    let scale = json!({ "max": 4 });
    check(json!({}), "10m");
    check(json!({ "scale": scale }), "10m");
    check(auto("200m", json!(null)), "10m");
    check(auto("200m", scale.clone()), "200m");
    check(json!({ "placement": "Auto", "scale": scale }), "500m");
    check(auto("1", scale.clone()), "1");
    // Larger pods fit on few nodes.
    check(auto("8", scale.clone()), "1");
}

#[test]
fn pods_are_restricted_and_replicas_are_set_only_on_request() {
    let small = built("small");
    assert_eq!(small["deployment"]["spec"].get("replicas"), None);
    assert_eq!(small["ingress"], Value::Null);
    let pod = &small["deployment"]["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["runtimeClassName"], "sampan");
    let expected = json!({
        "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "readOnlyRootFilesystem": true,
        "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    assert_eq!(pod["containers"][0]["securityContext"], expected);
    // A timeout of 30 s, a pause of 3 s, and 5 s more.
    assert_eq!(pod["terminationGracePeriodSeconds"], 38);
    // 100 instances of 128 MiB, and 256 MiB for the server.
    assert_eq!(
        pod["containers"][0]["resources"]["limits"]["memory"],
        "13056Mi"
    );
    assert_eq!(built("whole")["deployment"]["spec"]["replicas"], 2);
}
