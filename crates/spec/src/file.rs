//! The raw `function.yaml`: every key, without validation.
//!
//! Unknown keys are rejected, so that a misspelt limit does not silently become the default.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::function::HttpMode;
use crate::limits::LimitsFile;
use crate::located::{Located, Scalar};

/// One function: its name, its code, its limits and the services that it may call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(title = "function.yaml")]
pub struct FunctionFile {
    /// The function's name, which becomes part of its host name: a-z, 0-9 and inner hyphens, at
    /// most 63. Default: the folder's name.
    pub name: Option<Located<String>>,
    /// The .wasm file, relative to this file. Default: the name with .wasm.
    pub file: Option<Located<String>>,
    /// A description of the function, in a sentence.
    pub description: Option<Located<String>>,
    /// The path and query of an example request, such as `/?n=100`.
    pub example: Option<Located<String>>,
    /// The environment of the function. It inherits nothing from its host.
    pub env: Option<Vec<EnvironmentVariable>>,
    /// The arguments of the function, without the program's name.
    pub args: Option<Vec<Located<Scalar>>>,
    /// How the function receives requests. Default: handler.
    pub http: Option<HttpMode>,
    /// The limits of the function.
    pub limits: Option<LimitsFile>,
    /// The services that the function may call. Default: none.
    pub outbound: Option<OutboundFile>,
    /// How long an instance of the function lives. Default: one request.
    pub instances: Option<InstancesFile>,
}

/// A variable of the function's environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EnvironmentVariable {
    /// Its name.
    pub name: Located<String>,
    /// Its value. A number, true or false is taken as text.
    pub value: Located<Scalar>,
}

/// The services that a function may call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OutboundFile {
    /// Rules such as `http://store:3000`, `https://*.example.com`, `http://127.0.0.1:8091` or
    /// `http://10.0.0.0/8:3000`. Without a port: 80 for http, 443 for https. A request is sent
    /// when one of them allows it.
    pub allow: Option<Vec<Located<String>>>,
    /// PEM files of certificate authorities that the function trusts for https, in addition to the
    /// public ones: at most 16 paths, relative to this file. In a pod they are absolute, in a
    /// volume of the pod.
    pub certificate_authorities: Option<Vec<Located<String>>>,
}

/// How long an instance lives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct InstancesFile {
    /// Lets an instance answer several requests, one after the other. It keeps its memory between
    /// them.
    pub reuse: Option<ReuseFile>,
}

/// When a reused instance ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ReuseFile {
    /// After how many requests the instance ends.
    pub requests: Option<Located<Scalar>>,
    /// After how long without a request the instance ends.
    pub idle: Option<Located<Scalar>>,
}
