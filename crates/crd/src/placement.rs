//! The place where a function is served, and the one that a resource asks for.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The place where a function is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Placement {
    /// By pods of its own.
    #[default]
    Pod,
    /// By the pool of its namespace, whose pods serve many functions.
    Pooled,
}

impl Placement {
    /// The word in a resource.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::Pooled => "Pooled",
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The place that a resource asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PlacementPolicy {
    /// Pods of its own serve it.
    #[default]
    Pod,
    /// The pool of its namespace serves it.
    Pooled,
    /// The pool of its namespace serves it, and under load pods of its own.
    Auto,
}

impl PlacementPolicy {
    /// The word in a resource.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::Pooled => "Pooled",
            Self::Auto => "Auto",
        }
    }

    /// Whether a pool may serve a function with it.
    pub const fn uses_pool(self) -> bool {
        !matches!(self, Self::Pod)
    }
}

impl fmt::Display for PlacementPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
