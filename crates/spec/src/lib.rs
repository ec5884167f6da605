//! The vocabulary of functions: what a function may be called, what it may use and whom it may call.
//!
//! Owns the raw `function.yaml` ([`FunctionFile`]), the validated [`Function`] and the limits with
//! their defaults and ranges. Refuses to do input or output: it reads no files and resolves no
//! names, so everything in it can be tested at the edge without a world around it.

pub mod annotations;
mod bound;
mod diagnostics;
mod file;
mod function;
mod limits;
mod located;
mod name;
mod outbound;
mod quantity;
mod schema;
mod shown;
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
    HostPattern, OutboundRules, Permit, Rule, RuleError, Scheme, UnknownScheme, name_may_lead_to,
};
pub use quantity::{ByteSize, QuantityError, Timespan};
pub use validate::{MAX_ENVIRONMENT, MAX_OUTBOUND_RULES};
pub use yaml::{MAX_FILE_BYTES, parse};
