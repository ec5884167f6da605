//! `function.yaml` as it is written: every key, none of them checked.
//!
//! Refuses unknown keys, so that a misspelt limit is never silently the default.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::function::HttpMode;
use crate::limits::LimitsFile;
use crate::located::{Located, Scalar};

/// One function: what it is called, what it runs, what it may use and whom it may call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schemars(title = "function.yaml")]
pub struct FunctionFile {
    /// The function's name, which becomes part of its host name: a-z, 0-9 and inner hyphens, at
    /// most 63. Default: the folder's name.
    pub name: Option<Located<String>>,
    /// The .wasm file, relative to this file. Default: the name with .wasm.
    pub file: Option<Located<String>>,
    /// What the function does, in a sentence.
    pub description: Option<Located<String>>,
    /// A path and query that make a good first request, such as `/?n=100`.
    pub example: Option<Located<String>>,
    /// The environment of the function. It sees nothing of the environment of its host.
    pub env: Option<Vec<EnvironmentVariable>>,
    /// The arguments of the function, the program's name aside.
    pub args: Option<Vec<Located<Scalar>>>,
    /// How the function takes requests. Default: handler.
    pub http: Option<HttpMode>,
    /// What the function may use.
    pub limits: Option<LimitsFile>,
    /// Whom the function may call. Default: nobody.
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
    /// Its value. A number, true or false is taken as the text that is written.
    pub value: Located<Scalar>,
}

/// Whom a function may call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OutboundFile {
    /// Rules such as `http://store:3000`, `https://*.example.com`, `http://127.0.0.1:8091` or
    /// `http://10.0.0.0/8:3000`. Without a port: 80 for http, 443 for https. A request is sent
    /// when one of them allows it.
    pub allow: Option<Vec<Located<String>>>,
}

/// How long an instance lives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct InstancesFile {
    /// An instance answers several requests, one after the other, and keeps what it remembers
    /// between them.
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
