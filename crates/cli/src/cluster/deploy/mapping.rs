//! Maps a `function.yaml` to a `WasmFunction`.
//!
//! [`WasmFunction::of`] makes the spec, this module the rest. `docs/guide/deploy.md` has a table of
//! both directions, which a test compares with the existing keys.

use sampan_crd::WasmFunction;
use sampan_spec::Function;

/// Kubernetes' annotation for a description of an object.
const DESCRIPTION: &str = "kubernetes.io/description";

/// Makes the resource of a function. Keys of local mode only are left out: `file`, and `example`,
/// which `sampan deploy` prints once.
pub(super) fn resource(function: &Function, image: &str) -> WasmFunction {
    let mut resource = WasmFunction::of(function, image);
    if let Some(description) = &function.description {
        let annotations = resource.metadata.annotations.get_or_insert_default();
        annotations.insert(DESCRIPTION.to_owned(), description.clone());
    }
    resource
}

#[cfg(test)]
mod tests {
    use sampan_crd::ValidFunction;
    use sampan_spec::FunctionFile;
    use serde_json::{Value, json};

    use super::*;

    const PAGE: &str = include_str!("../../../../../docs/guide/deploy.md");

    fn mapped(text: &str) -> WasmFunction {
        let function = Function::parse(text, "function.yaml", "hello").expect("a function.yaml");
        resource(&function, "r.example/hello:1")
    }

    #[test]
    fn each_key_has_its_field() {
        let check = |text: &str, pointer: &str, expected: Value| {
            let resource = serde_json::to_value(mapped(text)).expect("JSON");
            assert_eq!(resource.pointer(pointer), Some(&expected), "{text}");
        };
        check("", "/metadata/name", json!("hello"));
        check("name: other", "/metadata/name", json!("other"));
        check("", "/spec", json!({ "image": "r.example/hello:1" }));
        check(
            "description: Says hello",
            "/metadata/annotations/kubernetes.io~1description",
            json!("Says hello"),
        );
        check(
            "env: [{ name: A, value: 1.50 }]",
            "/spec/env",
            json!([{ "name": "A", "value": "1.50" }]),
        );
        check("args: [a, 2]", "/spec/args", json!(["a", "2"]));
        check("http: cgi", "/spec/http", json!("cgi"));
        check(
            "limits: { memory: 64Mi, concurrency: 7 }",
            "/spec/limits",
            json!({ "memory": "64Mi", "concurrency": 7 }),
        );
        check(
            "outbound: { allow: ['http://a:80', 'https://*.b.example'] }",
            "/spec/outbound/allow",
            json!(["http://a", "https://*.b.example"]),
        );
        check(
            "outbound: { certificateAuthorities: [/etc/ca.crt] }",
            "/spec/outbound",
            json!({ "certificateAuthorities": ["/etc/ca.crt"] }),
        );
        check(
            "instances: { reuse: { requests: 5, idle: 2s } }",
            "/spec/instances/reuse",
            json!({ "requests": 5, "idle": "2s" }),
        );
    }

    #[test]
    fn nothing_that_a_pod_has_to_know_is_lost() {
        let text = "
env: [{ name: A, value: b }]
args: [c]
http: cgi
limits: { memory: 64Mi, timeout: 3s, queue: 0 }
outbound: { allow: ['http://10.0.0.0/8:3000'], certificateAuthorities: [/etc/ca.crt] }
instances: { reuse: { requests: 5 } }
";
        let function = Function::parse(text, "function.yaml", "hello").expect("a function.yaml");
        let valid = ValidFunction::of(&resource(&function, "i")).expect("a valid resource");
        let env: Vec<_> = valid
            .env
            .iter()
            .map(|variable| (&variable.name, variable.value.as_ref()))
            .collect();
        let expected: Vec<_> = function
            .environment
            .iter()
            .map(|(name, value)| (name, Some(value)))
            .collect();
        assert_eq!(env, expected);
        let back = valid.function;
        assert_eq!(back.name, function.name);
        assert_eq!(back.arguments, function.arguments);
        assert_eq!(back.http, function.http);
        assert_eq!(back.limits, function.limits);
        assert_eq!(back.outbound, function.outbound);
        assert_eq!(
            back.certificate_authorities,
            function.certificate_authorities
        );
        assert_eq!(back.instances, function.instances);
    }

    #[test]
    fn the_documentation_maps_every_key_and_every_field() {
        let keys = |schema: &Value, pointer: &str| -> Vec<String> {
            let properties = schema
                .pointer(pointer)
                .and_then(Value::as_object)
                .expect("properties");
            properties.keys().cloned().collect()
        };
        let file = FunctionFile::json_schema();
        let definition = serde_json::to_value(sampan_crd::definition()).expect("JSON");
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        let rows: Vec<&str> = PAGE.lines().filter(|line| line.starts_with('|')).collect();
        for key in keys(&file, "/properties") {
            let row = format!("| `{key}` |");
            assert!(
                rows.iter().any(|line| line.starts_with(&row)),
                "no row begins with {row}"
            );
        }
        for field in keys(&definition, spec) {
            let field = format!("`spec.{field}");
            assert!(
                rows.iter().any(|line| line.contains(&field)),
                "no row has {field}"
            );
        }
    }
}
