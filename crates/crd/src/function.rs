//! The raw `WasmFunction`: every field, without validation.
//!
//! Unknown fields are rejected, so that a misspelt limit does not silently become the default.

use k8s_openapi::api::core::v1::EnvVar;
use kube_derive::CustomResource;
use sampan_spec::{Function, HttpMode, InstancePolicy, Timespan, annotations};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::auto::Auto;
use crate::enumeration::enumeration;
use crate::ingress::Ingress;
use crate::limits::{Limits, amount};
use crate::placement::PlacementPolicy;
use crate::processors;
use crate::scale::Scale;
use crate::status::WasmFunctionStatus;
use crate::template::Template;

/// The image, access, limits and permissions of a function.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    crates(kube_core = "::kube_core"),
    group = "sampan.dev",
    version = "v1alpha1",
    kind = "WasmFunction",
    plural = "wasmfunctions",
    shortname = "wfn",
    category = "all",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    status = "WasmFunctionStatus",
    doc = "A WebAssembly function, which runs as pods beside containers or in a pool of shared pods. The operator makes a Service and, if requested, an Ingress for it, and a Deployment of its own or of the pool.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether the function answers requests"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Reason of the Ready condition"
    ),
    printcolumn(
        name = "Pods",
        type_ = "string",
        json_path = ".status.pods",
        description = "Pods that answer, of those that exist"
    ),
    printcolumn(
        name = "Placement",
        type_ = "string",
        json_path = ".status.placement",
        description = "Where the function is served: by pods of its own, or by the pool"
    ),
    printcolumn(
        name = "URL",
        type_ = "string",
        json_path = ".status.url",
        description = "URL of the function"
    ),
    printcolumn(
        name = "Image",
        type_ = "string",
        json_path = ".spec.image",
        priority = 1,
        description = "Requested image"
    ),
    printcolumn(
        name = "Digest",
        type_ = "string",
        json_path = ".status.digest",
        priority = 1,
        description = "Digest of the running image"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WasmFunctionSpec {
    /// The image with the function, as for kubectl run: REGISTRY/NAME:TAG or
    /// REGISTRY/NAME@sha256:DIGEST. sampan push makes one.
    #[schemars(
        length(min = 1, max = 1024),
        regex(pattern = r"^[A-Za-z0-9\[][A-Za-z0-9._:/@\[\]+-]*$")
    )]
    pub image: String,
    /// Secrets with the credentials for the image's registry, in the function's namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub image_pull_secrets: Vec<SecretName>,
    /// Where the function is served. Pod, the default: by pods of its own. Pooled: by the pool of its
    /// namespace, whose pods serve many functions; an idle function costs no pod there. Auto: by the
    /// pool, and under load by pods of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "enumeration::<PlacementPolicy>")]
    pub placement: Option<PlacementPolicy>,
    /// With the placement Auto: which load moves the function to pods of its own, and back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto: Option<Auto>,
    /// The number of pods, 0 to 10000. Without it the Deployment's number is kept, which is 1 until
    /// another client, such as a HorizontalPodAutoscaler on the Deployment, changes it. kubectl
    /// scale, and autoscalers on the function itself, require this field. With the placement Auto, it
    /// is the number of pods under load, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub replicas: Option<i32>,
    /// Automatic scaling of the function's own pods between two numbers, by a HorizontalPodAutoscaler
    /// that the operator makes. It excludes replicas. With placement Auto, each pod requests auto.moveOut
    /// processors, at most 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// The function's environment; it inherits nothing else. PORT is taken: the function's
    /// server listens there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1000),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub env: Vec<EnvVar>,
    /// The function's arguments, without the program's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000), inner(length(max = 131_072)))]
    pub args: Vec<String>,
    /// How the function receives requests. handler, the default: the component exports a wasi:http
    /// handler. cgi: the module is a WASI command, with the request in its environment and stdin
    /// and the response on stdout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "enumeration::<HttpMode>")]
    pub http: Option<HttpMode>,
    /// The limits of the function. Each applies to one pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// The services that the function may call over HTTP. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound: Option<Outbound>,
    /// How long an instance of the function lives. Default: one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<Instances>,
    /// Access from outside of the cluster. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// Metrics of the function in Prometheus' format, from each of its pods. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// The function's share of the processors of its pool. For pooled functions only. Default: weight
    /// 100, no cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolShare>,
    /// Other settings of the function's pods, with Kubernetes' own types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
}

/// The metrics endpoint of each pod: /metrics, with /healthz and /readyz beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// The port, which no container of the pod may use otherwise. Default: 9090.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<u16>,
}

/// A function's share of the processors of its pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolShare {
    /// The weight against other functions that want the same processors, 1 to 1000. A function of
    /// weight 200 gets twice the processor time of one of weight 100. Default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: Option<i32>,
    /// The most processors that the function uses over time in each pod of the pool, such as 500m
    /// or 2: 10m to 1024. Default: no cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "processors::schema")]
    pub processors: Option<Amount>,
}

/// A Secret of the function's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretName {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// The services that a function may call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Outbound {
    /// Rules such as http://store.default.svc:3000, https://*.example.com or http://10.0.0.0/8:3000.
    /// Without a port: 80 for http, 443 for https. A request is sent when one of them allows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 500),
        inner(length(min = 1, max = 320), regex(pattern = r"^[A-Za-z]+://[^\s]+$"))
    )]
    pub allow: Vec<String>,
    /// PEM files of certificate authorities that the function trusts for https, in addition to the
    /// public ones: absolute paths in volumes of the template, or
    /// /var/run/secrets/kubernetes.io/serviceaccount/ca.crt. A pod reads them when it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 4096), regex(pattern = r"^/.*$"))
    )]
    pub certificate_authorities: Vec<String>,
}

/// How long an instance lives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Instances {
    /// Lets an instance answer several requests, one after the other. It keeps its memory between
    /// them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<Reuse>,
}

/// When a reused instance ends.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reuse {
    /// After how many requests the instance ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "requests")]
    pub requests: Option<Amount>,
    /// After how long without a request the instance ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "idle")]
    pub idle: Option<Amount>,
}

fn requests(_: &mut SchemaGenerator) -> Schema {
    amount("ReuseFile", "requests")
}

fn idle(_: &mut SchemaGenerator) -> Schema {
    amount("ReuseFile", "idle")
}

impl WasmFunction {
    /// Makes the resource of a function from a `function.yaml`, without default values. Its
    /// environment and arguments are copied. Its file is not: `image` contains it.
    pub fn of(function: &Function, image: impl Into<String>) -> Self {
        let limits = annotations::changed_limits(&function.limits);
        let limits = limits
            .into_iter()
            .map(|(key, value)| (key, written(&value)));
        let limits = Limits(limits.collect());
        let outbound = Outbound {
            allow: function.outbound.iter().map(ToString::to_string).collect(),
            certificate_authorities: function.certificate_authorities.clone(),
        };
        let variable = |(name, value): &(String, String)| EnvVar {
            name: name.clone(),
            value: Some(value.clone()),
            value_from: None,
        };
        let spec = WasmFunctionSpec {
            image: image.into(),
            env: function.environment.iter().map(variable).collect(),
            args: function.arguments.clone(),
            http: function.http.filter(|mode| *mode != HttpMode::Handler),
            limits: (!limits.0.is_empty()).then_some(limits),
            outbound: (outbound != Outbound::default()).then_some(outbound),
            instances: match function.instances {
                InstancePolicy::Fresh => None,
                InstancePolicy::Reuse { requests, idle } => Some(Instances {
                    reuse: Some(Reuse {
                        requests: Some(Amount::Number(requests.get().into())),
                        idle: Some(Amount::Text(Timespan(idle).to_string())),
                    }),
                }),
            },
            ..WasmFunctionSpec::default()
        };
        Self::new(function.name.as_str(), spec)
    }
}

/// Converts a value of `changed_limits`, which is a number or a text.
fn written(value: &serde_json::Value) -> Amount {
    match (value.as_i64(), value.as_str()) {
        (Some(number), _) => Amount::Number(number),
        (None, Some(text)) => Amount::Text(text.to_owned()),
        (None, None) => Amount::Text(value.to_string()),
    }
}
