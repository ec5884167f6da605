//! Why a container's control group cannot be made or changed.

use std::io;
use std::path::{Path, PathBuf};

use super::devices::policy::RuleError;
use super::path::PathError;
use super::settings::{SettingError, ValueError};
use super::systemd::SystemdError;

/// A control group cannot be made or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GroupError {
    /// `linux.cgroupsPath` is unusable.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A value of `linux.resources` is unusable.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A rule of `linux.resources.devices` is unusable.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A limit cannot be set.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// systemd does not make or change the scope.
    #[error(transparent)]
    Systemd(#[from] SystemdError),
    /// Another container has the group.
    #[error("the control group {} has processes in it", path.display())]
    InUse { path: PathBuf },
    /// The group cannot have limits of memory, input and output, huge pages or processor time.
    #[error("the control group {} is {kind}, and takes no limits of a domain", path.display())]
    NoDomain { path: PathBuf, kind: String },
    /// A limit that the container has outgrown, where the update asks for that check.
    #[error("a limit of {limit} bytes is not above the {usage} bytes that the container uses")]
    BelowUsage { limit: i64, usage: u64 },
    /// No process can be started that keeps the scope.
    #[error("starting a process for the scope: {0}")]
    Holder(#[source] io::Error),
    /// The work was broken off by a fault of the shim's, which its log has.
    #[error("the control group was not made, by a fault of the shim; see its log")]
    Panicked,
    /// The operating system refused.
    #[error("{doing} {}: {source}", path.display())]
    System {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl GroupError {
    /// Whether the container's specification is at fault, and not the node.
    pub(crate) fn is_invalid(&self) -> bool {
        matches!(self, Self::Path(_) | Self::Value(_) | Self::Rule(_))
    }

    pub(super) fn system(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::System {
            doing,
            path,
            source,
        }
    }
}
