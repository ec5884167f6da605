//! A validated function, as all other crates use it.
//!
//! It is made by `FunctionFile::validate` or from a bare name.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bound::Bound;
use crate::limits::Limits;
use crate::name::FunctionName;
use crate::outbound::OutboundRules;
use crate::share::ProcessorShare;

/// A validated function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Function {
    /// Its name.
    pub name: FunctionName,
    /// Its .wasm, relative to its `function.yaml`; `None` without such a file.
    pub file: Option<String>,
    /// Its description for users.
    pub description: Option<String>,
    /// The path and query of an example request.
    pub example: Option<String>,
    /// Its environment, in order, with unique names.
    pub environment: Vec<(String, String)>,
    /// Its arguments, without the program's name.
    pub arguments: Vec<String>,
    /// Its limits.
    pub limits: Limits,
    /// The services that it may call; none by default.
    pub outbound: OutboundRules,
    /// PEM files of certificate authorities that it trusts in addition to those of its host.
    /// Relative paths start at the folder of `function.yaml`.
    pub certificate_authorities: Vec<String>,
    /// How long an instance lives.
    pub instances: InstancePolicy,
    /// How it receives requests. `None` depends on its file: a handler serves requests, and a
    /// command is run as one.
    pub http: Option<HttpMode>,
    /// Its share of the processors of a pool. No other host reads it.
    pub share: ProcessorShare,
}

impl Function {
    /// Makes a function with a name and defaults, as for a bare .wasm.
    pub fn bare(name: FunctionName) -> Self {
        Self {
            name,
            file: None,
            description: None,
            example: None,
            environment: Vec::new(),
            arguments: Vec::new(),
            limits: Limits::default(),
            outbound: OutboundRules::default(),
            certificate_authorities: Vec::new(),
            instances: InstancePolicy::default(),
            http: None,
            share: ProcessorShare::default(),
        }
    }
}

/// How long an instance lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InstancePolicy {
    /// One request. The next request sees nothing of it.
    #[default]
    Fresh,
    /// Several requests, one after the other.
    Reuse {
        /// The number of requests after which the instance ends.
        requests: NonZeroU32,
        /// The time without a request after which the instance ends.
        idle: Duration,
    },
}

/// The number of requests that a reused instance serves.
pub const REUSE_REQUESTS: Bound = Bound::count(1_000, 1, 1_000_000);

/// How long a reused instance waits for its next request.
pub const REUSE_IDLE: Bound = Bound::milliseconds(10_000, 1, 3_600_000);

/// How a function receives requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HttpMode {
    /// The component exports a `wasi:http` handler.
    Handler,
    /// The module is a WASI command that uses CGI: request in its environment and stdin, response
    /// on stdout.
    Cgi,
}
