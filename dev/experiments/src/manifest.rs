//! Renders the Deployment of a function in a kind. Pure.
//!
//! All kinds differ only in the image, the runtime class and the annotations with the function's
//! rules for the shim. Both use plain Deployments, so that the same controllers do the same work;
//! the operator also makes Deployments. There are no probes, no token and no service links, so that
//! no kind has more than the other.

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::{Value, json};

use super::images::Function;
use super::kind::Kind;
use super::sample::Limits;

/// The port of all functions.
pub(super) const PORT: u16 = 8080;
/// The label of a Deployment's pods.
pub(super) const LABEL: &str = "sampan-bench";

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
    let limits = limits();
    let mut resources = json!({
        "requests": { "cpu": "1m", "memory": "4Mi" },
        "limits": { "memory": limits.memory },
    });
    if profile == Profile::Processor {
        resources["limits"]["cpu"] = json!(limits.saturation_processor);
    }
    let environment: Vec<Value> = images
        .env
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
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
                "env": environment,
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
}
