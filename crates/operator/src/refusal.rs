//! What the API server, or the cluster's rules, were against. It lasts until somebody does something.

use std::fmt;

use sampan_crd::Reason;

use crate::diagnose::cut;

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The operator lacks a right.
    Forbidden {
        /// What it may not do, such as `patch`.
        verb: &'static str,
        /// With what, such as `deployments.apps`.
        resource: String,
        /// Where.
        namespace: String,
    },
    /// The right is there, and a quota or policy is against it.
    NotAdmitted {
        /// What was to be changed.
        what: String,
        /// The API server's words.
        message: String,
    },
    /// What was made of the resource is not allowed.
    Rejected {
        /// What was to be changed.
        what: String,
        /// The API server's words.
        message: String,
    },
    /// The API server fails on it. It may be for good: a webhook that is down, a value it cannot read.
    Failed {
        /// What was to be changed.
        what: String,
        /// The API server's words.
        message: String,
    },
    /// There is an object of that name, and it is not the function's.
    NameTaken {
        /// Which, such as `Service primes`.
        what: String,
    },
}

impl Refusal {
    /// The word for it.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Forbidden { .. } => Reason::Forbidden,
            Self::NotAdmitted { .. } => Reason::NotAdmitted,
            Self::Rejected { .. } => Reason::Rejected,
            Self::Failed { .. } => Reason::ServerFailed,
            Self::NameTaken { .. } => Reason::NameTaken,
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
        }
    }
}
