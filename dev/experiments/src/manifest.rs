//! Renders the Deployment of a function in a kind, or the resource of a pooled function. Pure.
//!
//! The kinds in pods differ only in the image, the runtime class and the annotations with the
//! function's rules for the shim. All use plain Deployments, so that the same controllers do the
//! same work; the operator also makes Deployments. There are no probes, no token and no service
//! links, so that no kind has more than the other. A pooled function is a resource, which only the
//! operator can place; it has the same component, environment and rules.

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::DynamicObject;
use sampan_measure::functions::resource;
use serde_json::{Value, json};

use super::images::Function;
use super::kind::Kind;
use super::sample::Limits;

/// The port of all functions.
pub(super) const PORT: u16 = 8080;
/// The label of a function's replicas in a kind.
const LABEL: &str = "sampan-bench";
/// The processor that a pod requests: the least share, for all kinds.
const PROCESSOR_REQUEST: &str = "1m";

/// The limits of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// Memory is limited.
    Memory,
    /// Memory and processor time are limited.
    Processor,
}

/// The limits of both profiles.
pub(super) fn limits() -> Limits {
    Limits {
        memory: "128Mi".to_owned(),
        saturation_processor: "500m".to_owned(),
    }
}

/// The name of a function in a kind.
pub(super) fn name(function: &str, kind: Kind) -> String {
    format!("{function}-{kind}")
}

/// The Deployment, on one node.
///
/// # Panics
///
/// Never: the fields below are those of a Deployment.
pub(super) fn deployment(
    function: &str,
    kind: Kind,
    images: &Function,
    replicas: u32,
    profile: Profile,
    node: &str,
) -> Deployment {
    let name = name(function, kind);
    let mut resources = processor(profile);
    resources["requests"]["memory"] = json!("4Mi");
    resources["limits"]["memory"] = json!(limits().memory);
    let mut template = json!({
        "metadata": { "labels": { LABEL: name } },
        "spec": {
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 1,
            "nodeSelector": { "kubernetes.io/hostname": node },
            "containers": [{
                "name": "function",
                "image": images.image(kind),
                "imagePullPolicy": "IfNotPresent",
                "env": environment(images),
                "ports": [{ "name": "http", "containerPort": PORT }],
                "resources": resources,
            }],
        },
    });
    if kind == Kind::Wasm {
        template["spec"]["runtimeClassName"] = json!("sampan");
        let mut annotations = json!({ "sampan.dev/function": function });
        if !images.outbound.is_empty() {
            let rules = json!(images.outbound).to_string();
            annotations["sampan.dev/outbound"] = json!(rules);
        }
        template["metadata"]["annotations"] = annotations;
    }
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { LABEL: name } },
            "template": template,
        },
    });
    serde_json::from_value(deployment).expect("these are the fields of a Deployment")
}

/// The requested processor and its limit in a profile, alike for all kinds.
pub(super) fn processor(profile: Profile) -> Value {
    let limits = match profile {
        Profile::Memory => json!({}),
        Profile::Processor => json!({ "cpu": limits().saturation_processor }),
    };
    json!({ "requests": { "cpu": PROCESSOR_REQUEST }, "limits": limits })
}

fn environment(images: &Function) -> Vec<Value> {
    let variables = images.env.iter();
    variables
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect()
}

/// A pooled function with this label, and a name that the API server completes.
///
/// `image` is the component's image by the registry's name for pods.
pub(super) fn pooled(label: &str, images: &Function, image: &str) -> DynamicObject {
    let mut function = DynamicObject::new("", &resource());
    function.metadata.name = None;
    function.metadata.generate_name = Some(format!("{label}-"));
    function.metadata.labels = Some([(LABEL.to_owned(), label.to_owned())].into());
    let mut spec = json!({
        "image": image,
        "placement": "Pooled",
        "env": environment(images),
        "template": { "imagePullPolicy": "IfNotPresent" },
    });
    if !images.outbound.is_empty() {
        spec["outbound"] = json!({ "allow": images.outbound });
    }
    function.data = json!({ "spec": spec });
    function
}

/// The selector of the replicas with a label.
pub(super) fn selector(label: &str) -> String {
    format!("{LABEL}={label}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kinds differ only where they must.
    #[test]
    fn kinds_differ_in_image_class_and_annotations_alone() {
        let images: Function = serde_json::from_value(json!({
            "wasm": "w", "scratch": "s", "distro": "d", "query": "",
            "env": { "A": "b" }, "outbound": ["http://text"],
        }))
        .unwrap();
        let of = |kind| {
            let made = deployment("aes", kind, &images, 2, Profile::Processor, "node-1");
            serde_json::to_value(made).unwrap()
        };
        let mut wasm = of(Kind::Wasm);
        let template = &mut wasm["spec"]["template"];
        assert_eq!(template["spec"]["runtimeClassName"], "sampan");
        assert_eq!(
            template["metadata"]["annotations"]["sampan.dev/outbound"],
            r#"["http://text"]"#
        );
        template["spec"]
            .as_object_mut()
            .unwrap()
            .remove("runtimeClassName");
        template["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("annotations");
        let as_scratch = wasm
            .to_string()
            .replace("aes-wasm", "aes-scratch")
            .replace(r#""image":"w""#, r#""image":"s""#);
        assert_eq!(as_scratch, of(Kind::Scratch).to_string());
    }

    #[test]
    fn a_pooled_function_has_the_environment_and_the_rules_of_the_pods() {
        let images: Function = serde_json::from_value(json!({
            "wasm": "w", "scratch": "s", "distro": "d", "query": "",
            "env": { "A": "b" }, "outbound": ["http://text"],
        }))
        .unwrap();
        let function = pooled("aes-pooled", &images, "registry:5000/w");
        assert_eq!(
            serde_json::to_value(function).unwrap(),
            json!({
                "apiVersion": "sampan.dev/v1alpha1",
                "kind": "WasmFunction",
                "metadata": {
                    "generateName": "aes-pooled-",
                    "labels": { "sampan-bench": "aes-pooled" },
                },
                "spec": {
                    "image": "registry:5000/w",
                    "placement": "Pooled",
                    "env": [{ "name": "A", "value": "b" }],
                    "outbound": { "allow": ["http://text"] },
                    "template": { "imagePullPolicy": "IfNotPresent" },
                },
            })
        );
    }

    #[test]
    fn all_kinds_have_the_same_processor() {
        fn check(profile: Profile, expected: &Value) {
            assert_eq!(processor(profile), *expected);
            let images: Function = serde_json::from_value(json!({
                "wasm": "w", "scratch": "s", "distro": "d", "query": "",
            }))
            .unwrap();
            for kind in [Kind::Wasm, Kind::Scratch, Kind::Distro] {
                let made = deployment("aes", kind, &images, 1, profile, "node-1");
                let made = serde_json::to_value(made).unwrap();
                let resources = &made["spec"]["template"]["spec"]["containers"][0]["resources"];
                for part in ["requests", "limits"] {
                    let (found, expected) = (&resources[part]["cpu"], &expected[part]["cpu"]);
                    assert_eq!(found, expected, "{kind} {part}");
                }
            }
        }
        check(
            Profile::Memory,
            &json!({ "requests": { "cpu": "1m" }, "limits": {} }),
        );
        check(
            Profile::Processor,
            &json!({ "requests": { "cpu": "1m" }, "limits": { "cpu": "500m" } }),
        );
    }
}
