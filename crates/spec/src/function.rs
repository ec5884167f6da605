//! A function that has passed every check: what all other crates work with.
//!
//! Refuses raw input: it comes from `FunctionFile::validate` or from a bare name.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bound::Bound;
use crate::limits::Limits;
use crate::name::FunctionName;
use crate::outbound::OutboundRules;

/// A validated function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Function {
    /// How it is called.
    pub name: FunctionName,
    /// Its .wasm, relative to its `function.yaml`; `None` when there is no such file.
    pub file: Option<String>,
    /// What it does, for a person.
    pub description: Option<String>,
    /// A path and query that make a good first request.
    pub example: Option<String>,
    /// Its environment, in order, with unique names.
    pub environment: Vec<(String, String)>,
    /// Its arguments, the program's name aside.
    pub arguments: Vec<String>,
    /// What it may use.
    pub limits: Limits,
    /// Whom it may call; nobody by default.
    pub outbound: OutboundRules,
    /// How long an instance lives.
    pub instances: InstancePolicy,
    /// How it takes requests. Not said: as its file can, so that a handler answers, and a command is for whoever runs
    /// commands.
    pub http: Option<HttpMode>,
}

impl Function {
    /// A function of which only the name is known: a bare .wasm, with the default of everything.
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
            instances: InstancePolicy::default(),
            http: None,
        }
    }
}

/// How long an instance lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InstancePolicy {
    /// One request: nothing of it is visible to the next.
    #[default]
    Fresh,
    /// Several requests, one after the other.
    Reuse {
        /// After how many requests the instance ends.
        requests: NonZeroU32,
        /// After how long without a request the instance ends.
        idle: Duration,
    },
}

/// How many requests a reused instance answers.
pub const REUSE_REQUESTS: Bound = Bound::count(1_000, 1, 1_000_000);

/// How long a reused instance waits for its next request.
pub const REUSE_IDLE: Bound = Bound::milliseconds(10_000, 1, 3_600_000);

/// How a function takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum HttpMode {
    /// The component exports a `wasi:http` handler.
    Handler,
    /// The module is a WASI command that answers the CGI way: request in its environment and
    /// stdin, answer on stdout.
    Cgi,
}
