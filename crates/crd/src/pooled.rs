//! The fields that a function in a pool cannot have.
//!
//! A pool's pod serves many functions with one process. Files, sidecars, accounts and the scheduling of a pod are the
//! pool's, so a resource that asks for them is refused: by the API server with [`rules`], and by [`check`] where an
//! older definition is installed.

use k8s_openapi::api::core::v1::EnvVar;
use serde_json::{Value, json};

use crate::function::WasmFunctionSpec;
use crate::invalid::Invalid;
use crate::placement::PlacementPolicy;
use crate::template::Template;

/// The field references that have a value in a pool: they are those of the pool's pod.
pub const POOL_FIELDS: [&str; 8] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.podIP",
    "status.podIPs",
];

/// The keys of `template` that have a meaning in a pool.
const TEMPLATE_KEYS: [&str; 2] = ["envFrom", "imagePullPolicy"];

const REPLICAS: &str =
    "a pool has pods for all of its functions: leave replicas out, or set placement to Pod";
const METRICS: &str = "the metrics of a pooled function are at its pool's port 9090: leave metrics out, or set placement to Pod";
const AUTHORITIES: &str = "a pool mounts no volumes, so there is no file of certificate authorities: set placement to Pod";
const TEMPLATE: &str = "a pooled function has no pod of its own: of template, only envFrom and imagePullPolicy are allowed; set placement to Pod for the rest";
const FIELD: &str = "a pool has no value for this fieldRef: use metadata.name, metadata.namespace, metadata.uid, spec.nodeName, \
                     spec.serviceAccountName, status.hostIP, status.podIP or status.podIPs, or set placement to Pod";
const RESOURCE: &str =
    "a pooled function has no resources of its own for a resourceFieldRef: set placement to Pod";
const FILE: &str = "a pool mounts no volumes for a fileKeyRef: set placement to Pod";

/// The validation rules of `spec`, in CEL, as the API server evaluates them.
pub(crate) fn rules() -> Vec<Value> {
    let in_pods = "!has(self.placement) || self.placement == 'Pod'";
    let rule = |condition: &str, path: Option<&str>, message: &str| {
        let mut rule = json!({ "rule": format!("{in_pods} || {condition}"), "message": message });
        if let Some(path) = path {
            rule["fieldPath"] = path.into();
        }
        rule
    };
    let keys: Vec<String> = template_keys()
        .into_iter()
        .filter(|key| !TEMPLATE_KEYS.contains(&key.as_str()))
        .map(|key| format!("!has(self.template.{key})"))
        .collect();
    let fields: Vec<String> = POOL_FIELDS
        .iter()
        .map(|field| format!("'{field}'"))
        .collect();
    let all = |condition: &str| {
        format!("!has(self.env) || self.env.all(v, !has(v.valueFrom) || {condition})")
    };
    vec![
        rule(
            "self.placement == 'Auto' || !has(self.replicas)",
            Some(".replicas"),
            REPLICAS,
        ),
        rule("!has(self.metrics)", Some(".metrics"), METRICS),
        rule(
            "!has(self.outbound) || !has(self.outbound.certificateAuthorities) || \
             self.outbound.certificateAuthorities.size() == 0",
            Some(".outbound"),
            AUTHORITIES,
        ),
        rule(
            &format!("!has(self.template) || ({})", keys.join(" && ")),
            Some(".template"),
            TEMPLATE,
        ),
        rule(
            &all(&format!(
                "!has(v.valueFrom.fieldRef) || v.valueFrom.fieldRef.fieldPath in [{}]",
                fields.join(", ")
            )),
            Some(".env"),
            FIELD,
        ),
        rule(
            &all("!has(v.valueFrom.resourceFieldRef)"),
            Some(".env"),
            RESOURCE,
        ),
        rule(&all("!has(v.valueFrom.fileKeyRef)"), Some(".env"), FILE),
    ]
}

/// Checks a resource that a pool may have to serve; all others pass. One with the placement `Auto` may
/// have a number of pods, which is that of the pods under load.
///
/// # Errors
///
/// [`Invalid`] for the first field that a pool cannot give.
pub(crate) fn check(spec: &WasmFunctionSpec) -> Result<(), Invalid> {
    let policy = spec.placement.unwrap_or_default();
    if !policy.uses_pool() {
        return Ok(());
    }
    if spec.replicas.is_some() && policy == PlacementPolicy::Pooled {
        return Err(Invalid::new("spec.replicas", REPLICAS));
    }
    if spec.metrics.is_some() {
        return Err(Invalid::new("spec.metrics", METRICS));
    }
    let outbound = spec.outbound.as_ref();
    if outbound.is_some_and(|outbound| !outbound.certificate_authorities.is_empty()) {
        let field = "spec.outbound.certificateAuthorities";
        return Err(Invalid::new(field, AUTHORITIES));
    }
    if let Some(template) = &spec.template
        && let Some(key) = keys_of(template)
            .into_iter()
            .find(|key| !TEMPLATE_KEYS.contains(&key.as_str()))
    {
        return Err(Invalid::new(format!("spec.template.{key}"), TEMPLATE));
    }
    spec.env
        .iter()
        .enumerate()
        .try_for_each(|(index, variable)| {
            refused_source(variable).map_or(Ok(()), |message| {
                Err(Invalid::new(
                    format!("spec.env[{index}].valueFrom"),
                    message,
                ))
            })
        })
}

fn refused_source(variable: &EnvVar) -> Option<&'static str> {
    let source = variable.value_from.as_ref()?;
    if let Some(field) = &source.field_ref
        && !POOL_FIELDS.contains(&field.field_path.as_str())
    {
        return Some(FIELD);
    }
    if source.resource_field_ref.is_some() {
        return Some(RESOURCE);
    }
    source.file_key_ref.is_some().then_some(FILE)
}

/// The keys of a template that are set.
fn keys_of(template: &Template) -> Vec<String> {
    let template = serde_json::to_value(template).expect("a template can be written");
    let keys = template.as_object().into_iter().flatten();
    keys.map(|(key, _)| key.clone()).collect()
}

/// All keys of a template, from its schema.
fn template_keys() -> Vec<String> {
    let schema = schemars::schema_for!(Template).to_value();
    let mut keys: Vec<String> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| key.clone())
        .collect();
    keys.sort_unstable();
    keys
}
