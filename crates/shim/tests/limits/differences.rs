//! The differences from runc that are meant, each with its reason. Every other one fails the suite.

use crate::environment::Environment::{self, Version1, Version2, Version2Systemd};

/// A file or property that may differ.
pub(crate) struct Difference {
    pub(crate) environment: Environment,
    pub(crate) key: &'static str,
    /// A part of the label of its rows; all of them when it is empty.
    pub(crate) label: &'static str,
    pub(crate) reason: &'static str,
}

const fn meant(
    environment: Environment,
    key: &'static str,
    label: &'static str,
    reason: &'static str,
) -> Difference {
    Difference {
        environment,
        key,
        label,
        reason,
    }
}

const HUGE_PAGES: &str = "the CRI's update carries huge pages, and runc's leaves them as they are";

/// The list.
pub(crate) const MEANT: &[Difference] = &[
    meant(
        Version1,
        "cgroup.freeze",
        "",
        "runc also enters the hierarchy of version 2 that a hybrid node mounts, which has no limits",
    ),
    meant(Version2, "hugetlb.2MB.max", "then", HUGE_PAGES),
    meant(Version2, "hugetlb.2MB.rsvd.max", "then", HUGE_PAGES),
    meant(Version2Systemd, "hugetlb.2MB.max", "then", HUGE_PAGES),
    meant(Version2Systemd, "hugetlb.2MB.rsvd.max", "then", HUGE_PAGES),
    meant(
        Version2Systemd,
        "MemorySwapMax",
        "\"swap\"",
        "runc writes a swap limit of 0 to the file alone, and systemd takes it back when it reloads",
    ),
    meant(
        Version2Systemd,
        "CollectMode",
        "",
        "a scope whose processes were killed goes away without a call",
    ),
    meant(
        Version2Systemd,
        "memory.oom.group",
        "then",
        "systemd resets it with every change of the unit; an update writes it again, also where it does not name it",
    ),
];

/// The reason of a difference, if it is meant.
pub(crate) fn reason(environment: Environment, key: &str, label: &str) -> Option<&'static str> {
    let found = MEANT.iter().find(|meant| {
        meant.environment == environment && meant.key == key && label.contains(meant.label)
    });
    found.map(|meant| meant.reason)
}
