//! Differences from runc that there are for a reason.

use super::facts::{Difference, Facts};

/// A difference and why it is there. `*` stands for any text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reason {
    fact: &'static str,
    here: &'static str,
    there: &'static str,
    #[expect(dead_code, reason = "it is for who reads the table")]
    why: &'static str,
}

/// A reason for a difference.
pub(crate) const fn reason(
    fact: &'static str,
    here: &'static str,
    there: &'static str,
    why: &'static str,
) -> Reason {
    Reason {
        fact,
        here,
        there,
        why,
    }
}

impl Reason {
    fn explains(&self, difference: &Difference) -> bool {
        matches(self.fact, &difference.fact)
            && matches(self.here, &difference.here)
            && matches(self.there, &difference.there)
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, others)) = pattern.split_once('*') else {
        return text == pattern;
    };
    let Some(rest) = text.strip_prefix(start) else {
        return false;
    };
    let mut ends = (0..=rest.len()).filter(|end| rest.is_char_boundary(*end));
    ends.any(|end| matches(others, &rest[end..]))
}

/// Those of a program that is added to a container.
pub(crate) const ADDED: &[Reason] = &[
    reason(
        "status.NS*",
        "*",
        "*",
        "runc itself takes numbers of processes while it adds one",
    ),
    reason("status.Umask", "0022", "0077", UMASK),
    reason("umask", "0022", "0077", UMASK),
    reason("made.mode", "0755", "0700", UMASK),
];

const UMASK: &str =
    "runc leaves an added program its caller's mask, which with containerd is the default";

const KCORE: &str = "libcontainer gives the link to the masked /proc/kcore another name";

const HIERARCHIES: &str = "with version 1 the folder around the hierarchies is read-only, as the pod says of its control groups";

const NO_CONTROLLERS: &str = "on version 1 the shim makes no group in hierarchies without controllers: systemd's, and the one of version 2";

/// Those of any program.
pub(crate) const PROGRAMS: &[Reason] = &[
    reason(
        "mount./*",
        "tmpfs / ro,relatime ro",
        "tmpfs / ro,relatime ro,size=4k",
        "runc limits the size of the empty folder over a masked one, which nobody can write to",
    ),
    reason(
        "mount./sys.1",
        "sysfs / ro,nosuid,nodev,noexec,relatime rw",
        "sysfs / ro,nosuid,nodev,noexec,relatime ro",
        "the mount is read-only; runc says the same of the file system",
    ),
    reason(
        "open.w./sys/*",
        "error: Permission denied",
        "error: Read-only file system",
        "the same: the mount is read-only, and the file is not the user's",
    ),
    reason(
        "status.Seccomp_filters",
        "2",
        "1",
        "what runc writes before the filter is a second filter, which answers calls that the profile does not know",
    ),
    reason("dev./dev/core", "", "* /proc/kcore", KCORE),
    reason("dev./dev/kcore", "* /proc/kcore", "", KCORE),
    reason(
        "self.oom_score_adj",
        "1",
        "0",
        "a supervisor has one more than containerd, as runc's shim, which is not asked here",
    ),
    reason(
        "mount./sys/fs/cgroup.1",
        "tmpfs / ro,*",
        "tmpfs / rw,*",
        HIERARCHIES,
    ),
    reason(
        "write./sys/fs/cgroup",
        "error: Read-only file system",
        "*",
        HIERARCHIES,
    ),
    reason(
        "mount./sys/fs/cgroup/systemd.1",
        "cgroup / *,name=systemd",
        "cgroup /* *,name=systemd",
        NO_CONTROLLERS,
    ),
    reason(
        "self.cgroup",
        "*name=systemd:/ *0::/",
        "*name=systemd:/*",
        NO_CONTROLLERS,
    ),
];

/// Differences that none of the reasons explains, each as a line.
pub(crate) fn unexplained(here: &Facts, there: &Facts, reasons: &[&[Reason]]) -> Vec<String> {
    let differences = here.differences(there);
    let explained = |difference: &Difference| {
        let mut reasons = reasons.iter().copied().flatten();
        reasons.any(|reason| reason.explains(difference))
    };
    let unexplained = differences
        .iter()
        .filter(|difference| !explained(difference));
    unexplained.map(ToString::to_string).collect()
}

#[test]
fn reasons_explain_what_they_name() {
    let there = Facts::parse("a=1\nb=2\nc.d=3", "", "x");
    let here = Facts::parse("a=1\nb=4\nc.d=5", "", "x");
    let check = |reasons: &[Reason], expected: usize| {
        let lines = unexplained(&here, &there, &[reasons]);
        assert_eq!(lines.len(), expected, "{lines:?}");
    };
    check(&[], 2);
    check(&[reason("b", "4", "2", "")], 1);
    check(&[reason("b", "2", "4", "")], 2);
    check(&[reason("c.*", "*", "3", "")], 1);
    check(&[reason("*", "*", "*", "")], 0);
    check(&[reason("*.d", "*5*", "*", "")], 1);
    check(&[reason("c*e", "*", "*", "")], 2);
}
