//! Tests that every published field of `WasmApp` is mapped or has a note.

use sampan_crd::wasmapp::{self, FIELDS};

fn app(spec: &str) -> String {
    format!(
        "apiVersion: example.org/v1\nkind: WasmApp\nmetadata: {{ name: primes, namespace: functions }}\nspec: {spec}"
    )
}

#[test]
fn every_field_has_its_place() {
    let converted = wasmapp::convert(&app(
        r#"{ replicas: 3, ociImage: registry.example/primes, ociImageTag: 1.10, imagePullSecret: registry,
        outboundHttp: ["https://api.example.com/", "store.default.svc:3000"], runtimeClass: spin,
        ingressEnabled: true, ingressClass: nginx, ingressHost: primes.example.com, ingressTlsEnabled: true }"#,
    ))
    .expect("it is a WasmApp");
    let spec = serde_json::to_value(&converted.function.spec).expect("written");
    let expected = serde_json::json!({
        "image": "registry.example/primes:1.10",
        "imagePullSecrets": [{ "name": "registry" }],
        "replicas": 3,
        "outbound": { "allow": [
            "https://api.example.com", "http://store.default.svc:3000", "https://store.default.svc:3000",
        ] },
        "ingress": { "className": "nginx", "host": "primes.example.com", "tls": { "secretName": "primes-tls" } },
    });
    assert_eq!(spec, expected);
    assert_eq!(
        converted.function.metadata.namespace.as_deref(),
        Some("functions")
    );
    assert_eq!(converted.notes.len(), 2, "{:?}", converted.notes);
}

#[test]
fn unset_fields_stay_unset() {
    let converted = wasmapp::convert(&app(
        "{ ociImage: registry.example/primes, ingressHost: h.example }",
    ));
    let converted = converted.expect("it is a WasmApp");
    let spec = serde_json::to_value(&converted.function.spec).expect("written");
    assert_eq!(
        spec,
        serde_json::json!({ "image": "registry.example/primes" })
    );
    assert!(converted.notes.is_empty());
}

#[test]
fn a_tag_that_is_a_digest_pins_the_image() {
    fn check(tag: &str, image: &str) {
        let spec = format!("{{ ociImage: registry.example/primes, ociImageTag: '{tag}' }}");
        let converted = wasmapp::convert(&app(&spec)).expect(tag);
        assert_eq!(converted.function.spec.image, image);
    }
    check("1.0", "registry.example/primes:1.0");
    check("sha256:0", "registry.example/primes@sha256:0");
    check("sha512:0", "registry.example/primes@sha512:0");
}

#[test]
fn fields_without_counterpart_are_noted() {
    fn check(spec: &str, part: &str) {
        let converted = wasmapp::convert(&app(spec)).expect(spec);
        assert!(
            converted.notes.iter().any(|note| note.contains(part)),
            "{:?}",
            converted.notes
        );
    }
    check("{ ociImage: i, outboundHttp: true }", "every host");
    check("{ ociImage: i, port: 80 }", "spec.port");
    check("{ ociImage: i, runtimeClass: spin }", "RuntimeClass sampan");
}

#[test]
fn invalid_fields_are_named() {
    fn check(text: &str, part: &str) {
        let error = wasmapp::convert(text).expect_err(text).to_string();
        assert!(error.contains(part), "{error} lacks {part}");
    }
    check("kind: Deployment", "Deployment");
    check("kind: [", "YAML");
    check(&app("{ replicas: 1 }"), "spec.ociImage");
    check(&app("{ ociImage: i, replicas: many }"), "spec.replicas");
    check(
        &app("{ ociImage: i, ingressEnabled: true }"),
        "spec.ingressHost",
    );
    check(
        &app("{ ociImage: i, ingressEnabled: maybe }"),
        "spec.ingressEnabled",
    );
    check(
        &app("{ ociImage: i, outboundHttp: ['ftp://x'] }"),
        "spec.outbound.allow[0]",
    );
    check(
        "kind: WasmApp\nmetadata: { name: A_b }\nspec: { ociImage: i }",
        "metadata.name",
    );
}

#[test]
fn the_guide_has_every_field() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/wasmapp.md");
    let guide = std::fs::read_to_string(path).expect("the guide is there");
    for field in FIELDS {
        assert!(guide.contains(&format!("`{field}`")), "{field}");
    }
}
