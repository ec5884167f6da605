//! The vocabulary of functions: names, limits, outbound rules, and the checked `function.yaml`.
//!
//! This crate owns the raw `function.yaml` ([`FunctionFile`]), the validated [`Function`], and the limits with their
//! defaults and ranges. It does no input and no output: it reads no files and resolves no names.
//!
//! # Behaviours
//!
//! Files are relative to `src`, tests to the crate.
//!
//! - The keys of `function.yaml`, and the line and column of a mistake: `yaml.rs` and `validate.rs`; tests in
//!   `tests/function_file.rs` and `tests/hostile_files.rs`.
//! - The JSON schema: `schema.rs`; tests in `tests/schema.rs`.
//! - The defaults and ranges of limits: the table in `limits.rs`, which makes the types, the JSON schema and the
//!   tests; tests in `tests/limits.rs`.
//! - The hosts that a function may call, by name: `outbound/rule.rs`; tests in `tests/outbound_rules.rs`.
//! - The same by resolved address: `outbound/permit.rs`, and `outbound/resolve.rs` of the engine; tests in
//!   `tests/outbound_addresses.rs`.
//! - A share of the processors of a pool: `share.rs`; an amount of processors: `processors.rs`, with its tests.
//! - A function's rules as annotations of its pod: `annotations.rs`, with its tests.

pub mod annotations;
mod bound;
mod diagnostics;
mod escape;
mod file;
mod function;
mod limits;
mod located;
mod name;
mod outbound;
mod processors;
mod quantity;
mod schema;
mod share;
mod suggest;
mod validate;
mod yaml;

pub use bound::{Bound, OutOfBound, Unit};
pub use diagnostics::{FileError, Invalid, Position};
pub use file::{EnvironmentVariable, FunctionFile, InstancesFile, OutboundFile, ReuseFile};
pub use function::{Function, HttpMode, InstancePolicy, REUSE_IDLE, REUSE_REQUESTS};
pub use limits::{LIMITS, Limit, Limits, LimitsFile};
pub use located::{Located, Scalar};
pub use name::{FunctionName, NameError, is_object_name};
pub use outbound::{
    HostPattern, OutboundRules, Permit, Rule, RuleError, Scheme, UnknownScheme, name_may_resolve_to,
};
pub use processors::{Processors, ProcessorsError};
pub use quantity::{ByteSize, QuantityError, Timespan};
pub use share::{ProcessorShare, SHARE_PROCESSORS, SHARE_WEIGHT};
pub use validate::{MAX_CERTIFICATE_AUTHORITIES, MAX_ENVIRONMENT, MAX_OUTBOUND_RULES};
pub use yaml::{MAX_FILE_BYTES, parse};
