//! Converts `WasmApp`, the resource of the published system, to `WasmFunction`.
//!
//! Every published field is mapped. A field without counterpart becomes a note, and unreadable
//! input is an error. `docs/guide/wasmapp.md` has the same mapping as a table.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::function::{Outbound, SecretName, WasmFunction, WasmFunctionSpec};
use crate::ingress::{Ingress, IngressTls};
use crate::invalid::Invalid;
use crate::valid::ValidFunction;

/// A converted resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// The same function as a `WasmFunction`. It passes every check.
    pub function: WasmFunction,
    /// Differences and fields without counterpart, one sentence each.
    pub notes: Vec<String>,
}

/// Reasons why a text cannot be converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// It is not YAML, or more than one document.
    #[error("this is not one YAML document: {0}")]
    Yaml(String),
    /// It is another kind of resource.
    #[error("this is no WasmApp: its kind is {0}")]
    Kind(String),
    /// A field has a value of the wrong kind, or is missing.
    #[error("{field}: {message}")]
    Field {
        /// The field's path.
        field: String,
        /// The mistake and the expected value.
        message: String,
    },
    /// The result is invalid.
    #[error("what it becomes is not allowed: {0}")]
    Invalid(#[source] Invalid),
}

/// The published fields that [`convert`] reads.
pub const FIELDS: [&str; 10] = [
    "replicas",
    "ociImage",
    "ociImageTag",
    "outboundHttp",
    "imagePullSecret",
    "runtimeClass",
    "ingressEnabled",
    "ingressClass",
    "ingressHost",
    "ingressTlsEnabled",
];

/// Converts the YAML of one `WasmApp`.
///
/// # Errors
///
/// [`ConvertError`] when the text is not a `WasmApp`, or when the result is invalid.
pub fn convert(text: &str) -> Result<Converted, ConvertError> {
    let value: Value = serde_saphyr::from_str(text)
        .map_err(|error| ConvertError::Yaml(error.without_snippet().to_string()))?;
    match value.get("kind").and_then(Value::as_str) {
        Some("WasmApp") => {}
        other => return Err(ConvertError::Kind(format!("{other:?}"))),
    }
    let metadata = Fields::of(&value, "metadata")?;
    let spec = Fields::of(&value, "spec")?;
    // Reads the one field that looks like a number and is none once more: 1.10 is not 1.1.
    let tag: Tagged = serde_saphyr::from_str(text)
        .map_err(|error| ConvertError::Yaml(error.without_snippet().to_string()))?;
    let mut notes = Vec::new();
    for key in spec
        .fields
        .keys()
        .filter(|key| !FIELDS.contains(&key.as_str()))
    {
        notes.push(format!(
            "spec.{key} is no field of the published WasmApp and is left out"
        ));
    }

    let name = metadata.required_text("name")?;
    let mut function = WasmFunction::new(
        &name,
        WasmFunctionSpec {
            image: image(&spec, tag.spec.tag)?,
            image_pull_secrets: (spec.text("imagePullSecret")?.into_iter())
                .map(|name| SecretName { name })
                .collect(),
            replicas: spec.number("replicas")?,
            outbound: outbound(&spec, &mut notes)?,
            ingress: ingress(&name, &spec, &mut notes)?,
            ..WasmFunctionSpec::default()
        },
    );
    function.metadata.namespace = metadata.text("namespace")?;
    function.metadata.labels = metadata.texts("labels")?;
    function.metadata.annotations = metadata.texts("annotations")?.map(|mut annotations| {
        // It contains the old resource, as kubectl applied it.
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        annotations
    });
    if let Some(class) = spec.text("runtimeClass")?.filter(|class| class != "sampan") {
        notes.push(format!(
            "spec.runtimeClass {class} has no counterpart: functions always run in the RuntimeClass sampan"
        ));
    }
    ValidFunction::of(&function).map_err(ConvertError::Invalid)?;
    Ok(Converted { function, notes })
}

/// The image's tag as written.
#[derive(Deserialize)]
struct Tagged {
    spec: TaggedSpec,
}

#[derive(Deserialize)]
struct TaggedSpec {
    #[serde(default, rename = "ociImageTag")]
    tag: Option<String>,
}

fn image(spec: &Fields<'_>, tag: Option<String>) -> Result<String, ConvertError> {
    let image = spec.required_text("ociImage")?;
    Ok(match tag.filter(|tag| !tag.is_empty()) {
        None => image,
        // A tag has no colon.
        Some(digest) if digest.contains(':') => format!("{image}@{digest}"),
        Some(tag) => format!("{image}:{tag}"),
    })
}

fn outbound(spec: &Fields<'_>, notes: &mut Vec<String>) -> Result<Option<Outbound>, ConvertError> {
    let hosts: Vec<String> = match spec.get("outboundHttp") {
        None | Some(Value::Bool(false)) => return Ok(None),
        Some(Value::Bool(true)) => vec!["insecure:allow-all".to_owned()],
        Some(Value::String(hosts)) => hosts.split([',', ' ']).map(str::to_owned).collect(),
        Some(Value::Array(hosts)) => (hosts.iter())
            .map(|host| match host {
                Value::String(host) => Ok(host.clone()),
                other => Err(wrong("spec.outboundHttp", "a host", other)),
            })
            .collect::<Result<_, _>>()?,
        Some(other) => return Err(wrong("spec.outboundHttp", "a list of hosts", other)),
    };
    let mut allow = Vec::new();
    for host in hosts.iter().filter(|host| !host.is_empty()) {
        if host == "insecure:allow-all" {
            notes.push(
                "spec.outboundHttp allowed every host, which no rule can: write those that the function \
                 calls into spec.outbound.allow"
                    .to_owned(),
            );
        } else if host.contains("://") {
            allow.push(host.trim_end_matches('/').to_owned());
        } else {
            allow.extend(["http", "https"].map(|scheme| format!("{scheme}://{host}")));
        }
    }
    Ok((!allow.is_empty()).then_some(Outbound {
        allow,
        ..Outbound::default()
    }))
}

fn ingress(
    name: &str,
    spec: &Fields<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<Ingress>, ConvertError> {
    // Read even if unused, so that a wrong value is never ignored.
    let enabled = spec.flag("ingressEnabled")?.unwrap_or(false);
    let tls = spec.flag("ingressTlsEnabled")?.unwrap_or(false);
    let (class_name, host) = (spec.text("ingressClass")?, spec.text("ingressHost")?);
    if !enabled {
        return Ok(None);
    }
    let Some(host) = host else {
        return Err(ConvertError::Field {
            field: "spec.ingressHost".to_owned(),
            message: "it is missing, and ingressEnabled needs it".to_owned(),
        });
    };
    let tls = tls.then(|| {
        let secret_name = format!("{name}-tls");
        notes.push(format!(
            "spec.ingressTlsEnabled named no certificate: spec.ingress.tls.secretName is {secret_name}, a \
             Secret that has to be there; without secretName the ingress controller uses its own certificate"
        ));
        IngressTls {
            secret_name: Some(secret_name),
        }
    });
    Ok(Some(Ingress {
        class_name,
        host,
        tls,
        ..Ingress::default()
    }))
}

/// The fields of one part of the resource.
struct Fields<'a> {
    part: &'static str,
    fields: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    fn of(value: &'a Value, part: &'static str) -> Result<Self, ConvertError> {
        match &value[part] {
            Value::Object(fields) => Ok(Self { part, fields }),
            other => Err(wrong(part, "a group of fields", other)),
        }
    }

    fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.part)
    }

    /// The value, if it was written and is not null.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.fields.get(key).filter(|value| !value.is_null())
    }

    /// A text; an empty one counts as none, as in the published operator.
    fn text(&self, key: &str) -> Result<Option<String>, ConvertError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(other) => Err(wrong(&self.path(key), "a text", other)),
        }
    }

    fn required_text(&self, key: &str) -> Result<String, ConvertError> {
        let missing = || ConvertError::Field {
            field: self.path(key),
            message: "it is missing".to_owned(),
        };
        self.text(key)?.ok_or_else(missing)
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, ConvertError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(wrong(&self.path(key), "true or false", other)),
        }
    }

    fn number(&self, key: &str) -> Result<Option<i32>, ConvertError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
        number
            .map(Some)
            .ok_or_else(|| wrong(&self.path(key), "a whole number", value))
    }

    fn texts(
        &self,
        key: &str,
    ) -> Result<Option<std::collections::BTreeMap<String, String>>, ConvertError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(texts)) => texts
                .iter()
                .map(|(name, value)| match value {
                    Value::String(text) => Ok((name.clone(), text.clone())),
                    other => Err(wrong(
                        &format!("{}.{name}", self.path(key)),
                        "a text",
                        other,
                    )),
                })
                .collect::<Result<_, _>>()
                .map(Some),
            Some(other) => Err(wrong(&self.path(key), "names with texts", other)),
        }
    }
}

fn wrong(field: &str, expected: &str, found: &Value) -> ConvertError {
    let found = match found {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a group of fields",
    };
    ConvertError::Field {
        field: field.to_owned(),
        message: format!("{expected} is expected, and there is {found}"),
    }
}
