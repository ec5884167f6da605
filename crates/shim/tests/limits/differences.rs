//! The differences from runc that are meant, each with its reason. Every other one fails the suite.

use crate::environment::Environment;

/// A file or property that may differ.
pub(crate) struct Difference {
    pub(crate) environment: Environment,
    pub(crate) key: &'static str,
    /// A part of the label of its rows; all of them when it is empty.
    pub(crate) label: &'static str,
    pub(crate) reason: &'static str,
}

/// The list.
pub(crate) const MEANT: &[Difference] = &[Difference {
    environment: Environment::Version1,
    key: "cgroup.freeze",
    label: "",
    reason: "runc also enters the hierarchy of version 2 that a hybrid node mounts, which has no limits",
}];

/// The reason of a difference, if it is meant.
pub(crate) fn reason(environment: Environment, key: &str, label: &str) -> Option<&'static str> {
    let found = MEANT.iter().find(|meant| {
        meant.environment == environment && meant.key == key && label.contains(meant.label)
    });
    found.map(|meant| meant.reason)
}
