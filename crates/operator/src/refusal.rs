//! Refusals of the API server or of the cluster's rules. They last until an intervention.

use std::fmt;

use sampan_crd::{POOL_PORTS, Reason};

use crate::diagnose::{Cause, cut};

/// Reasons why a change was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The operator lacks a permission.
    Forbidden {
        /// The verb, such as `patch`.
        verb: &'static str,
        /// The resource, such as `deployments.apps`.
        resource: String,
        /// The namespace.
        namespace: String,
    },
    /// The operator has the permission, but a quota or policy forbids the change.
    NotAdmitted {
        /// The object.
        what: String,
        /// The API server's message.
        message: String,
    },
    /// The object is invalid for the API server.
    Rejected {
        /// The object.
        what: String,
        /// The API server's message.
        message: String,
    },
    /// The API server fails on the object. This may last: a webhook that is down, an unreadable
    /// value.
    Failed {
        /// The object.
        what: String,
        /// The API server's message.
        message: String,
    },
    /// An object with that name exists and has another owner.
    NameTaken {
        /// The object, such as `Service primes`.
        what: String,
    },
    /// Every port of the namespace's pool is assigned.
    PoolFull,
    /// The operator has no image for pools.
    PoolDisabled,
    /// The `WasmPool` of the namespace is invalid, and there is no pool from before.
    PoolInvalid {
        /// The field and the mistake.
        message: String,
    },
}

impl Refusal {
    /// The condition's reason.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Forbidden { .. } => Reason::Forbidden,
            Self::NotAdmitted { .. } => Reason::NotAdmitted,
            Self::Rejected { .. } => Reason::Rejected,
            Self::Failed { .. } => Reason::ServerFailed,
            Self::NameTaken { .. } => Reason::NameTaken,
            Self::PoolFull => Reason::PoolFull,
            Self::PoolDisabled => Reason::PoolDisabled,
            Self::PoolInvalid { .. } => Reason::PoolInvalid,
        }
    }

    /// The cause of a failure, in full: no foreign message is cut once more.
    pub(crate) fn cause(&self) -> Cause {
        Cause {
            reason: self.reason(),
            message: self.to_string(),
            vague: false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden {
                verb,
                resource,
                namespace,
            } => write!(
                f,
                "the operator may not {verb} {resource} in namespace {namespace}: give its service account that right"
            ),
            Self::NotAdmitted { what, message } => {
                write!(f, "{what} is not admitted: {}", cut(message))
            }
            Self::Rejected { what, message } => write!(f, "{what} is rejected: {}", cut(message)),
            Self::Failed { what, message } => {
                write!(f, "the API server fails on {what}: {}", cut(message))
            }
            Self::NameTaken { what } => write!(
                f,
                "{what} exists and is not the function's: delete it, or give the function another name"
            ),
            Self::PoolFull => write!(
                f,
                "all {} ports of the namespace's pool are assigned: delete pooled functions, or set placement to Pod",
                POOL_PORTS.len()
            ),
            Self::PoolDisabled => f.write_str(
                "the operator makes no pools: set pool.enabled and pool.image of its chart, or set placement to Pod",
            ),
            Self::PoolInvalid { message } => write!(
                f,
                "the WasmPool default of the namespace is invalid, and there is no pool from before: {}",
                cut(message)
            ),
        }
    }
}
