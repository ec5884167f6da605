//! Types of a function's specification: name, limits and outbound rules.
//!
//! The raw `function.yaml` ([`FunctionFile`]) is validated into a [`Function`]. Limits, with their
//! defaults and ranges, are defined here. The crate does no input or output: it reads no files and
//! resolves no names.

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
mod quantity;
mod schema;
mod suggest;
mod validate;
mod yaml;

pub use bound::{Bound, OutOfBound, Unit};
pub use diagnostics::{FileError, Invalid, Position};
pub use file::{EnvironmentVariable, FunctionFile, InstancesFile, OutboundFile, ReuseFile};
pub use function::{Function, HttpMode, InstancePolicy, REUSE_IDLE, REUSE_REQUESTS};
pub use limits::{LIMITS, Limit, Limits, LimitsFile};
pub use located::{Located, Scalar};
pub use name::{FunctionName, NameError};
pub use outbound::{
    HostPattern, OutboundRules, Permit, Rule, RuleError, Scheme, UnknownScheme, name_may_resolve_to,
};
pub use quantity::{ByteSize, QuantityError, Timespan};
pub use validate::{MAX_ENVIRONMENT, MAX_OUTBOUND_RULES};
pub use yaml::{MAX_FILE_BYTES, parse};
