//! The two engines, and which of them runs a kind of file.

use crate::kind::Kind;

/// One of the two engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Flavour {
    Sequential,
    Concurrent,
}

impl Flavour {
    pub(crate) fn of(kind: Kind) -> Self {
        match kind {
            Kind::HttpHandler03 => Self::Concurrent,
            Kind::HttpHandler02 | Kind::Command02 | Kind::CommandPreview1 => Self::Sequential,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Concurrent => "concurrent",
        }
    }
}
