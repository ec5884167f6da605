//! The compared kinds: a component, and two containers of the same source.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a function is packed and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A component, run by the shim.
    Wasm,
    /// A static program alone in an image, run by runc.
    Scratch,
    /// A program on a small base system, run by runc.
    Distro,
}

impl Kind {
    /// All kinds.
    pub(crate) const ALL: [Self; 3] = [Self::Wasm, Self::Scratch, Self::Distro];

    /// Its name in files and labels.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
            Self::Scratch => "scratch",
            Self::Distro => "distro",
        }
    }

    /// Its name in the report.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Wasm => "Wasm",
            Self::Scratch => "container (scratch)",
            Self::Distro => "container (distro)",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
