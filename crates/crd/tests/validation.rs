//! Tests of validation, from YAML to the validated function.

use sampan_crd::{CONTAINER, ValidFunction, WasmFunction};
use sampan_spec::{Function, annotations};

fn read(spec: &str) -> WasmFunction {
    let text = format!(
        "apiVersion: sampan.dev/v1alpha1\nkind: WasmFunction\nmetadata: {{ name: primes }}\nspec: {spec}"
    );
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{spec}: {error}"))
}

#[test]
fn the_published_example_is_taken_whole() {
    let resource = read(
        r#"{
        image: registry.example/functions/prime-numbers:1.0,
        imagePullSecrets: [{ name: registry }],
        replicas: 2,
        env: [{ name: GREETING, value: hi }, { name: TOKEN, valueFrom: { secretKeyRef: { name: s, key: token } } }],
        limits: { memory: 64Mi, timeout: 10s, concurrency: 100 },
        outbound: {
          allow: ["http://store.default.svc:3000", "https://*.example.com"],
          certificateAuthorities: ["/etc/authorities/ca.crt"],
        },
        ingress: { className: nginx, host: primes.example.com, path: /, tls: { secretName: primes-tls } },
        template: { resources: { limits: { cpu: 1 } } }
        }"#,
    );
    let valid = ValidFunction::of(&resource).expect("all of it is allowed");
    assert_eq!(valid.function.name.as_str(), "primes");
    assert_eq!(valid.function.limits.memory.bytes(), 64 << 20);
    assert_eq!(valid.function.outbound.iter().count(), 2);
    assert_eq!(
        valid.function.certificate_authorities,
        ["/etc/authorities/ca.crt"]
    );
    assert_eq!(valid.replicas, Some(2));
    assert_eq!(valid.env.len(), 2);
    assert_eq!(valid.image_pull_secrets, ["registry"]);
    assert_eq!(
        valid.ingress.expect("an ingress").tls,
        Some(Some("primes-tls".to_owned()))
    );
}

#[test]
fn invalid_values_are_named_by_their_field() {
    fn check(spec: &str, field: &str, part: &str) {
        let error = ValidFunction::of(&read(spec)).expect_err(spec);
        assert_eq!(error.field, field, "{error}");
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
    check("{ image: '' }", "spec.image", "no image");
    check("{ image: 'a b' }", "spec.image", "spaces");
    check("{ image: i, replicas: -1 }", "spec.replicas", "0 to 10000");
    check(
        "{ image: i, limits: { memory: 5Ti } }",
        "spec.limits.memory",
        "1Mi to 4Gi",
    );
    check(
        "{ image: i, limits: { memory: 1 } }",
        "spec.limits.memory",
        "least allowed",
    );
    check(
        "{ image: i, limits: { memory: 1.5 } }",
        "spec.limits.memory",
        "1.5",
    );
    check(
        "{ image: i, limits: { memry: 5Mi } }",
        "spec.limits",
        "memory",
    );
    check(
        "{ image: i, outbound: { allow: ['ftp://x'] } }",
        "spec.outbound.allow[0]",
        "ftp://x",
    );
    check(
        "{ image: i, outbound: { certificateAuthorities: [/a, etc/ca.crt] } }",
        "spec.outbound.certificateAuthorities[1]",
        "not absolute",
    );
    check(
        "{ image: i, outbound: { certificateAuthorities: [''] } }",
        "spec.outbound.certificateAuthorities[0]",
        "empty",
    );
    check(
        "{ image: i, instances: { reuse: { requests: 0 } } }",
        "spec.instances.reuse.requests",
        "0",
    );
    check(
        "{ image: i, env: [{ name: PORT, value: '1' }] }",
        "spec.env[0]",
        "taken",
    );
    check(
        "{ image: i, env: [{ name: 'a=b' }] }",
        "spec.env[0]",
        "no =",
    );
    check(
        "{ image: i, env: [{ name: A }, { name: A }] }",
        "spec.env[1]",
        "twice",
    );
    check("{ image: i, args: [\"a\\0b\"] }", "spec.args[0]", "NUL");
    check(
        "{ image: i, ingress: { host: '' } }",
        "spec.ingress.host",
        "empty",
    );
    check(
        "{ image: i, ingress: { host: h, path: x } }",
        "spec.ingress.path",
        "/",
    );
    check(
        "{ image: i, metrics: { port: 8080 } }",
        "spec.metrics.port",
        "taken",
    );
    check(
        "{ image: i, metrics: { port: 0 } }",
        "spec.metrics.port",
        "0",
    );
    check(
        "{ image: i, template: { labels: { sampan.dev/function: x } } }",
        "spec.template.labels",
        "operator",
    );
    check(
        "{ image: i, template: { annotations: { sampan.dev/limits: x } } }",
        "spec.template.annotations",
        "operator",
    );
    check(
        "{ image: i, template: { sidecars: [{ name: function }] } }",
        "spec.template.sidecars",
        "own container",
    );
    check(
        "{ image: i, template: { sidecars: [{ name: s, ports: [{ containerPort: 8080 }] }] } }",
        "spec.template.sidecars",
        "8080 is taken",
    );
    check(
        "{ image: i, metrics: {}, template: { sidecars: [{ name: s, ports: [{ containerPort: 9090, protocol: TCP }] }] } }",
        "spec.template.sidecars",
        "9090 is taken",
    );
    check(
        "{ image: i, metrics: { port: 1 }, template: { initContainers: [{ name: s, restartPolicy: Always, ports: [{ containerPort: 1 }] }] } }",
        "spec.template.initContainers",
        "1 is taken",
    );
}

#[test]
fn names_are_those_of_services() {
    fn check(name: &str, allowed: bool) {
        let mut resource = read("{ image: i }");
        resource.metadata.name = Some(name.to_owned());
        let valid = ValidFunction::of(&resource);
        assert_eq!(valid.is_ok(), allowed, "{name}: {valid:?}");
    }
    check("a", true);
    check("a-9", true);
    check(&"a".repeat(63), true);
    check(&"a".repeat(64), false);
    check("9a", false);
    check("a.b", false);
    check("größe", false);
    check("", false);
}

#[test]
fn misspelt_fields_are_refused() {
    for spec in [
        "{ image: i, replica: 1 }",
        "{ image: i, ingress: { hosts: h } }",
        "{ image: i, template: { sidecar: [] } }",
    ] {
        let text = format!(
            "metadata: {{ name: a }}\napiVersion: sampan.dev/v1alpha1\nkind: WasmFunction\nspec: {spec}"
        );
        assert!(
            serde_saphyr::from_str::<WasmFunction>(&text).is_err(),
            "{spec}"
        );
    }
}

#[test]
fn a_described_function_becomes_the_same_function() {
    let text = r#"{ name: primes, env: [{ name: A, value: b }], args: [x], http: cgi,
        limits: { memory: 64Mi, queue: 0, timeout: 90s }, outbound: { allow: ["http://10.0.0.0/8:81"], certificateAuthorities: [/etc/ca.crt] },
        instances: { reuse: { requests: 5, idle: 2s } } }"#;
    let mut function = Function::parse(text, "function.yaml", "f").expect("it is allowed");
    let resource = WasmFunction::of(&function, "registry.example/primes:1");
    // As text, the form in which it is transferred.
    let resource: WasmFunction =
        serde_json::from_str(&serde_json::to_string(&resource).expect("written")).expect("read");
    let valid = ValidFunction::of(&resource).expect("it is allowed");
    assert_eq!(valid.env.len(), 1);
    function.environment.clear();
    function.file = None;
    assert_eq!(valid.function, function);
    assert_eq!(
        annotations::print(&valid.function, CONTAINER),
        annotations::print(&function, CONTAINER)
    );
}
