//! The place where a function is served.

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
