//! The control groups of this machine and the form of a bundle's path: each combination is a column of the table.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use nix::sys::stat::{major, minor};

use crate::inputs::Family;
use crate::support::groups::{Form, ROOT, hierarchies, is_version_2};

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Environment {
    Version1,
    Version1Systemd,
    Version2,
    Version2Systemd,
}

/// All columns, in their order.
pub(crate) const ENVIRONMENTS: [Environment; 4] = [
    Environment::Version1,
    Environment::Version1Systemd,
    Environment::Version2,
    Environment::Version2Systemd,
];

impl Environment {
    pub(crate) fn current() -> Self {
        match (is_version_2(), Form::selected()) {
            (false, Form::Path) => Self::Version1,
            (false, Form::Systemd) => Self::Version1Systemd,
            (true, Form::Path) => Self::Version2,
            (true, Form::Systemd) => Self::Version2Systemd,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Version1 => "version 1",
            Self::Version1Systemd => "version 1, systemd",
            Self::Version2 => "version 2",
            Self::Version2Systemd => "version 2, systemd",
        }
    }

    /// Whether its systemd sets `OOMPolicy` for scopes, as it does from version 253 on.
    pub(crate) fn has_oom_policy(self) -> bool {
        if !matches!(self, Self::Version1Systemd | Self::Version2Systemd) {
            return false;
        }
        let output = Command::new("systemctl").arg("--version").output();
        let output = output.expect("systemctl starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text
            .split_whitespace()
            .nth(1)
            .and_then(|word| word.parse().ok());
        let version: u32 = version.unwrap_or_else(|| panic!("no version in {text}"));
        version >= 253
    }

    pub(crate) fn is_version_2(self) -> bool {
        matches!(self, Self::Version2 | Self::Version2Systemd)
    }

    /// Whether this machine can carry a family's fields out.
    pub(crate) fn has(self, family: Family) -> bool {
        let Some([old, new]) = family.controllers() else {
            return family != Family::Unified || self.is_version_2();
        };
        if self.is_version_2() {
            let list = Path::new(ROOT).join("cgroup.controllers");
            let all = fs::read_to_string(list).expect("controllers");
            return all.split_whitespace().any(|controller| controller == new);
        }
        let ends_so = |root: &Path| {
            root.file_name().is_some_and(|name| {
                name.to_string_lossy()
                    .split(',')
                    .any(|controller| controller == old)
            })
        };
        hierarchies().iter().any(|root| ends_so(root))
    }
}

/// The disk of the root file system, if it is on one.
pub(crate) fn disk() -> Option<(u64, u64)> {
    let device = fs::metadata("/").expect("a root").dev();
    let (major, minor) = (major(device), minor(device));
    let is_disk = Path::new(&format!("/sys/dev/block/{major}:{minor}/queue")).exists();
    is_disk.then_some((major, minor))
}
