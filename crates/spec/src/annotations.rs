//! Reads and writes a function's rules as annotations of its pod, on their way to the node.
//!
//! [`KEYS`] lists all keys. Each value is the JSON of the same key in `function.yaml`. A missing
//! annotation has its default, so a pod made by hand needs none.
//!
//! Every other key below [`PREFIX`] is rejected: a misspelt limit must not silently become the
//! default, and an older node must not ignore a new rule. Arguments and environment are no
//! annotations, because the container has them.

use std::num::NonZeroU16;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::bound::{Bound, Unit};
use crate::diagnostics::Invalid;
use crate::escape::Shown;
use crate::file::{FunctionFile, OutboundFile};
use crate::function::{Function, HttpMode, InstancePolicy, REUSE_IDLE, REUSE_REQUESTS};
use crate::limits::{self, Limits};
use crate::name::FunctionName;
use crate::quantity::Timespan;
use crate::yaml;

/// The prefix of all keys.
pub const PREFIX: &str = "sampan.dev/";

/// The function's name. Default: the container's.
pub const FUNCTION: &str = "sampan.dev/function";

/// Its limits, as an object: `{"memory":"64Mi","timeout":"10s"}`.
pub const LIMITS: &str = "sampan.dev/limits";

/// The services that it may call, as a list of rules: `["http://store:3000"]`.
pub const OUTBOUND: &str = "sampan.dev/outbound";

/// PEM files of certificate authorities that it trusts for https, as a list of absolute paths in
/// the container: `["/etc/authorities/ca.crt"]`.
pub const CERTIFICATE_AUTHORITIES: &str = "sampan.dev/certificate-authorities";

/// How it receives requests: `handler` or `cgi`. `sampan.dev/http.NAME` applies only to the
/// container with that name. By default a handler serves requests, and a command runs as one.
pub const HTTP: &str = "sampan.dev/http";

/// The lifetime of an instance, as an object: `{"reuse":{"requests":1000}}`.
pub const INSTANCES: &str = "sampan.dev/instances";

/// The port of the pod that serves its metrics: `9090`. `sampan.dev/metrics.NAME` applies only to the
/// container with that name. Default: none.
pub const METRICS: &str = "sampan.dev/metrics";

/// Every key.
pub const KEYS: [&str; 7] = [
    FUNCTION,
    LIMITS,
    OUTBOUND,
    CERTIFICATE_AUTHORITIES,
    HTTP,
    INSTANCES,
    METRICS,
];

/// An invalid annotation. Formatted as one line with the annotation's key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("annotation {key}: {message}")]
pub struct AnnotationError {
    /// The annotation's key, safe to print.
    pub key: String,
    /// The mistake, and what is allowed instead.
    pub message: String,
}

/// Reads a function's rules. Ignores foreign annotations and those for other containers. Without a
/// name the function has the container's.
///
/// # Errors
///
/// [`AnnotationError`] for the first invalid annotation.
pub fn parse<'a>(
    annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
    container: &str,
) -> Result<Function, AnnotationError> {
    let mut file = FunctionFile::default();
    for (key, value) in annotations {
        if !key.starts_with(PREFIX) {
            continue;
        }
        if let Some(applies) = applies_to(key, HTTP, container) {
            if applies {
                file.http = read(key, value)?;
            }
            continue;
        }
        if let Some(applies) = applies_to(key, METRICS, container) {
            // It concerns the pod, not the function.
            if applies {
                port(key, value)?;
            }
            continue;
        }
        match key {
            FUNCTION => file.name = Some(value.to_owned().into()),
            LIMITS => file.limits = read(key, value)?,
            OUTBOUND => outbound(&mut file).allow = read(key, value)?,
            CERTIFICATE_AUTHORITIES => {
                outbound(&mut file).certificate_authorities = read(key, value)?;
            }
            INSTANCES => file.instances = read(key, value)?,
            unknown => {
                return Err(AnnotationError {
                    key: Shown(unknown).to_string(),
                    message: format!("unknown; known are {}", KEYS.join(", ")),
                });
            }
        }
    }
    let default_name = FunctionName::of_container(container);
    let mut function = file
        .validate(default_name.as_str())
        .map_err(|invalid| invalid_annotation(&invalid))?;
    // A file name has no meaning in a pod.
    function.file = None;
    let relative = |path: &&String| !path.starts_with('/');
    if let Some(path) = function.certificate_authorities.iter().find(relative) {
        return Err(AnnotationError {
            key: CERTIFICATE_AUTHORITIES.to_owned(),
            message: format!(
                "{} is not absolute (write the path at which a volume of the pod has it)",
                Shown(path)
            ),
        });
    }
    Ok(function)
}

/// The group of the file with the keys about outbound calls, which two annotations share.
fn outbound(file: &mut FunctionFile) -> &mut OutboundFile {
    file.outbound.get_or_insert_default()
}

/// Whether a key applies to this container: `base` to all, `base.NAME` to one. `None` for other keys.
fn applies_to(key: &str, base: &str, container: &str) -> Option<bool> {
    let rest = key.strip_prefix(base)?;
    match rest.strip_prefix('.') {
        Some(name) => Some(name == container),
        None => rest.is_empty().then_some(true),
    }
}

/// Reads the port that serves the metrics of a container's function, if there is one. An annotation
/// for this container has priority over one for all.
///
/// # Errors
///
/// [`AnnotationError`] for an invalid port.
pub fn metrics_port<'a>(
    annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
    container: &str,
) -> Result<Option<NonZeroU16>, AnnotationError> {
    let mut found = None;
    for (key, value) in annotations {
        if applies_to(key, METRICS, container) == Some(true) {
            let port = port(key, value)?;
            if key != METRICS {
                return Ok(Some(port));
            }
            found = Some(port);
        }
    }
    Ok(found)
}

/// The key of the annotation with the port of one container's metrics.
pub fn metrics_key(container: &str) -> String {
    format!("{METRICS}.{container}")
}

fn port(key: &str, value: &str) -> Result<NonZeroU16, AnnotationError> {
    value.parse().map_err(|_| AnnotationError {
        key: key.to_owned(),
        message: format!("{} is no port (write one from 1 to 65535)", Shown(value)),
    })
}

/// Writes the rules of a container's function in the form that [`parse`] reads. Default values are
/// left out: a node has the same table.
pub fn print(function: &Function, container: &str) -> Vec<(String, String)> {
    let mut annotations = vec![(FUNCTION.to_owned(), function.name.to_string())];
    let limits = changed_limits(&function.limits);
    if !limits.is_empty() {
        annotations.push((LIMITS.to_owned(), Value::Object(limits).to_string()));
    }
    if !function.outbound.is_empty() {
        let rules = function.outbound.iter().map(ToString::to_string);
        annotations.push((OUTBOUND.to_owned(), rules.collect::<Value>().to_string()));
    }
    if !function.certificate_authorities.is_empty() {
        let paths = function.certificate_authorities.iter().cloned();
        annotations.push((
            CERTIFICATE_AUTHORITIES.to_owned(),
            paths.collect::<Value>().to_string(),
        ));
    }
    if let Some(mode) = function.http {
        let word = match mode {
            HttpMode::Handler => "handler",
            HttpMode::Cgi => "cgi",
        };
        annotations.push((format!("{HTTP}.{container}"), word.to_owned()));
    }
    match function.instances {
        InstancePolicy::Fresh => {}
        InstancePolicy::Reuse { requests, idle } => {
            let reuse = json!({
                "requests": written(REUSE_REQUESTS, u64::from(requests.get())),
                "idle": written(REUSE_IDLE, Timespan(idle).nanoseconds_saturating()),
            });
            annotations.push((INSTANCES.to_owned(), json!({ "reuse": reuse }).to_string()));
        }
    }
    annotations
}

/// The limits that differ from the default, as in a file.
pub fn changed_limits(limits: &Limits) -> Map<String, Value> {
    limits::LIMITS
        .iter()
        .filter(|limit| limit.read(limits) != limit.bound.default)
        .map(|limit| {
            (
                limit.key.to_owned(),
                written(limit.bound, limit.read(limits)),
            )
        })
        .collect()
}

/// A number in the bound's unit, as in a file.
fn written(bound: Bound, value: u64) -> Value {
    match bound.unit {
        Unit::Count => value.into(),
        Unit::Bytes | Unit::Time => bound.unit.show(value).into(),
    }
}

/// Reads a JSON value. JSON is YAML, so the reader of `function.yaml` applies its limits and
/// messages.
fn read<T: DeserializeOwned>(key: &str, value: &str) -> Result<Option<T>, AnnotationError> {
    yaml::read(value, key).map_err(|error| AnnotationError {
        key: key.to_owned(),
        message: with_help(&error.message, error.help()),
    })
}

/// Finds the annotation of an invalid field.
fn invalid_annotation(invalid: &Invalid) -> AnnotationError {
    let field = |name: &str| {
        let rest = invalid.field.strip_prefix(name);
        rest.filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let key = [
        ("limits", LIMITS),
        ("outbound.certificateAuthorities", CERTIFICATE_AUTHORITIES),
        ("outbound", OUTBOUND),
        ("instances", INSTANCES),
    ]
    .into_iter()
    .find_map(|(name, key)| field(name).map(|_| key))
    .unwrap_or(FUNCTION);
    AnnotationError {
        key: key.to_owned(),
        message: match key {
            FUNCTION => invalid.message.clone(),
            _ => with_help(&invalid.to_string(), invalid.help()),
        },
    }
}

fn with_help(message: &str, help: Option<&str>) -> String {
    match help {
        Some(help) => format!("{message} ({help})"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
